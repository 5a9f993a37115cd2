"""The files of the pages, read once: compressed bytes, media types, and one version for all."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from dashboard.build import FILES, LICENCES

PATH: Final = "/assets/{version}/{name}"

_MEDIA_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    media_type: str
    gzipped: bytes

    def plain(self) -> bytes:
        """Return the bytes for the rare client that does not take gzip."""
        return gzip.decompress(self.gzipped)


@dataclass(frozen=True)
class Assets:
    """All files by name; `version` changes with any of them, so each may be kept for ever."""

    by_name: Mapping[str, Asset]
    pages: Mapping[str, str]
    version: str

    @property
    def is_complete(self) -> bool:
        """Whether the files of npm packages were gathered."""
        return set(FILES) <= set(self.by_name)

    def page(self, name: str) -> str:
        """Return the HTML of a page, with the addresses of its files."""
        return self.pages[name]


@cache
def load_assets() -> Assets:
    """Read everything, which takes some milliseconds; later calls get the same."""
    package = files("dashboard")
    by_name, texts = {}, {}
    digest = hashlib.sha256()
    for folder in ("pages", "static"):
        for file in _files(package / folder):
            digest.update(file.name.encode() + file.read_bytes())
            name = file.name.removesuffix(".gz")
            kind = name.rpartition(".")[2]
            if kind == "html":
                texts[name] = file.read_text(encoding="utf-8")
            elif kind in _MEDIA_TYPES:
                content = file.read_bytes()
                packed = content if file.name != name else gzip.compress(content, mtime=0)
                by_name[name] = Asset(_MEDIA_TYPES[kind], packed)
    version = digest.hexdigest()[:16]
    base = PATH.format(version=version, name="")
    pages = {name: text.replace("{{assets}}", base) for name, text in texts.items()}
    return Assets(by_name, pages, version)


def _files(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from sorted((each for each in folder.iterdir() if each.is_file()), key=_name)


def _name(file: Traversable) -> str:
    return file.name


__all__ = ["LICENCES", "PATH", "Asset", "Assets", "load_assets"]
