"""Product images. The sandbox records their URLs; it copies nothing anywhere."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.catalog import Catalog
from gateway.sandbox.ecwid.store import Store, not_found, refusal, wrong_parameter
from gateway.sandbox.values import Row, json_object, read, text


class Images:
    """The main image, the gallery, and the images of combinations."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        one = "/products/{product_id:int}"
        variation = f"{one}/combinations/{{combination_id:int}}/image"
        return [
            Route(f"{one}/image", self._set_main, methods=["POST"]),
            Route(f"{one}/image", self._delete_main, methods=["DELETE"]),
            Route(f"{one}/gallery", self._add, methods=["POST"]),
            Route(f"{one}/gallery", self._delete_gallery, methods=["DELETE"]),
            Route(f"{one}/gallery/{{file_id:int}}", self._delete_one, methods=["DELETE"]),
            Route(variation, self._set_variation, methods=["POST"]),
            Route(variation, self._delete_variation, methods=["DELETE"]),
        ]

    async def _set_main(self, request: Request) -> Response:
        product = self._product(request)
        image = await self._image(request, is_main=True)
        self._save(product, [image, *(i for i in product["images"] if not i["isMain"])])
        return JSONResponse({"id": int(image["id"])})

    async def _delete_main(self, request: Request) -> Response:
        product = self._product(request)
        rest = [image for image in product["images"] if not image["isMain"]]
        return self._deleted(product, rest)

    async def _add(self, request: Request) -> Response:
        product = self._product(request)
        image = await self._image(request, is_main=False)
        self._save(product, [*product["images"], image])
        return JSONResponse({"id": int(image["id"])})

    async def _delete_gallery(self, request: Request) -> Response:
        product = self._product(request)
        return self._deleted(product, [image for image in product["images"] if image["isMain"]])

    async def _delete_one(self, request: Request) -> Response:
        product = self._product(request)
        file_id = str(request.path_params["file_id"])
        rest = [i for i in product["images"] if i["isMain"] or i["id"] != file_id]
        if len(rest) == len(product["images"]):
            raise not_found("images")
        return self._deleted(product, rest)

    async def _set_variation(self, request: Request) -> Response:
        product = self._product(request)
        known = self._catalog.combination(product, request.path_params["combination_id"])
        image = await self._image(request, is_main=True)
        names = ("imageUrl", "thumbnailUrl", "smallThumbnailUrl", "hdThumbnailUrl")
        urls = dict.fromkeys((*names, "originalImageUrl"), image["url"])
        self._catalog.write_combination(product, known, urls)
        return JSONResponse({"id": int(image["id"])})

    async def _delete_variation(self, request: Request) -> Response:
        product = self._product(request)
        known = self._catalog.combination(product, request.path_params["combination_id"])
        if "imageUrl" not in known:
            return JSONResponse({"deleteCount": 0})
        names = ("imageUrl", "thumbnailUrl", "smallThumbnailUrl", "hdThumbnailUrl")
        self._catalog.write_combination(product, known, dict.fromkeys((*names, "originalImageUrl")))
        return JSONResponse({"deleteCount": 1})

    async def _image(self, request: Request, *, is_main: bool) -> Row:
        url = request.query_params.get("externalUrl")
        if url is None:
            raise wrong_parameter("externalUrl is required; the sandbox takes no image files")
        if not url.startswith(("http://", "https://")):
            raise refusal(422, "WRONG_URL", "externalUrl must be an http(s) URL")
        image: Row = {"id": str(self._store.next_id()), "isMain": is_main, "url": url}
        body = (
            read(await json_object(request), {"externalId": text}) if await request.body() else {}
        )
        return {**image, **body}

    def _product(self, request: Request) -> Row:
        return self._store.get("products", request.path_params["product_id"])

    def _save(self, product: Row, images: list[Row]) -> None:
        self._catalog.save({**product, "images": images})

    def _deleted(self, product: Row, rest: list[Row]) -> Response:
        count = len(product["images"]) - len(rest)
        if count:
            self._save(product, rest)
        return JSONResponse({"deleteCount": count})
