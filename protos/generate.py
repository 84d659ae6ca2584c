"""Regenerates what is made from the contracts, checks that it is fresh, builds buf's image.

`python protos/generate.py` writes the stubs and the commented descriptors; `--check` writes nothing
and fails when the committed ones differ; `--image FILE` writes the contracts as an image for
`buf lint` and `buf breaking`.
"""

import argparse
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from google import api
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent
GOOGLEAPIS = Path(next(iter(api.__path__))).parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
"""Where the plugins are installed; PATH may not lead there."""
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
COMMENTED = "contracts.binpb"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", COMMENTED)


def run_protoc(*arguments: str) -> None:
    """Runs protoc on all contracts. protovalidate's schema is in no wheel as text: its descriptor
    is taken out of the installed package.
    """
    names = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tillbridge/**/*.proto"))
    validate = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    well_known = [FileDescriptorProto() for _ in validate.dependency]
    for proto, name in zip(well_known, validate.dependency, strict=True):
        proto.ParseFromString(well_known_descriptor(name))
    with tempfile.NamedTemporaryFile(suffix=".binpb") as given:
        given.write(FileDescriptorSet(file=[*well_known, validate]).SerializeToString())
        given.flush()
        paths = [f"-I{ROOT}", f"-I{GOOGLEAPIS}", f"-I{WELL_KNOWN}"]
        if protoc.main(["protoc", f"--descriptor_set_in={given.name}", *paths, *arguments, *names]):
            sys.exit("protoc failed: see above")


def well_known_descriptor(name: str) -> bytes:
    """The serialized descriptor of a file such as `google/protobuf/duration.proto`."""
    from google.protobuf import (  # noqa: PLC0415  (importing them registers them)
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        field_mask_pb2,
        timestamp_pb2,
    )

    del descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
    found: bytes = descriptor_pool.Default().FindFileByName(name).serialized_pb
    return found


def write_generated(folder: Path) -> None:
    """Writes all stubs below `folder`, and our contracts with their comments for the gateway."""
    (folder / "tillbridge").mkdir(exist_ok=True)
    run_protoc(
        f"--plugin=protoc-gen-mypy={SCRIPTS / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={SCRIPTS / 'protoc-gen-mypy_grpc'}",
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        f"--mypy_out=quiet:{folder}",
        f"--mypy_grpc_out=quiet:{folder}",
        f"--descriptor_set_out={folder / 'tillbridge' / COMMENTED}",
        "--include_source_info",
    )


def generated_below(folder: Path) -> dict[str, bytes]:
    """The generated files below `folder`, by their path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for pattern in GENERATED
        for path in (folder / "tillbridge").rglob(pattern)
    }


def check() -> None:
    """Fails when the committed files are not what the contracts give."""
    with tempfile.TemporaryDirectory() as fresh:
        write_generated(Path(fresh))
        expected, committed = generated_below(Path(fresh)), generated_below(ROOT)
    stale = sorted(
        name
        for name in expected.keys() | committed.keys()
        if expected.get(name) != committed.get(name)
    )
    if stale:
        sys.exit("stale files, run `make protos`:\n  " + "\n  ".join(stale))


def write_image(path: Path) -> None:
    """Writes a buf image: all files with comments, those that are not ours marked as imports."""
    run_protoc(f"--descriptor_set_out={path}", "--include_imports", "--include_source_info")
    image = FileDescriptorSet.FromString(path.read_bytes())
    # buf.alpha.image.v1.ImageFile extends FileDescriptorProto by field 8042, whose field 1,
    # `is_import`, is true: 8042 << 3 | 2 as a varint, length 2, 08 01.
    is_import = bytes([0xD2, 0xF6, 0x03, 0x02, 0x08, 0x01])
    marked = b""
    for file in image.file:
        body = file.SerializeToString()
        if not file.name.startswith("tillbridge/"):
            body += is_import
        marked += b"\x0a" + varint(len(body)) + body
    path.write_bytes(marked)


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a file is stale")
    parser.add_argument("--image", type=Path, help="write the contracts as a buf image")
    arguments = parser.parse_args()
    if arguments.check:
        check()
    elif arguments.image:
        write_image(arguments.image)
    else:
        write_generated(ROOT)


if __name__ == "__main__":
    main()
