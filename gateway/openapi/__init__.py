"""The OpenAPI document and the `/docs` page, both made from the contracts' descriptors."""

from gateway.openapi.document import document, document_json

__all__ = ["document", "document_json"]
