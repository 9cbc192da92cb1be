"""Pages of the documentation site that lie elsewhere in the repository or are made from the code.

MkDocs calls `on_files` and `on_page_markdown`. Reports and the changelog become pages of the site,
each room of the package gets a page of its API, and links to other files of the repository become
plain text, since the site does not hold those files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
FOLDERS = {"eval/reports": "reports"}
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
ROOM_PAGE = "# rag_rec.{room}\n\n::: rag_rec.{room}\n"


def site_path(path: str) -> str | None:
    """The place in the site of a file of the repository; None when the site lacks it."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    for folder, place in FOLDERS.items():
        if path.startswith(f"{folder}/"):
            return place + path.removeprefix(folder)
    return PAGES.get(path)


def repository_path(uri: str) -> str:
    """The file of the repository that a page of the site comes from."""
    for folder, place in FOLDERS.items():
        if uri.startswith(f"{place}/"):
            return folder + uri.removeprefix(place)
    return next((path for path, place in PAGES.items() if place == uri), f"docs/{uri}")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/ and those of the rooms."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".json":
                add(files, config, path.relative_to(ROOT).as_posix())
    for path in PAGES:
        add(files, config, path)
    for room in rooms():
        text = ROOM_PAGE.format(room=room)
        files.append(File.generated(config, f"reference/rooms/{room}.md", content=text))
    return files


def add(files: Files, config: MkDocsConfig, path: str) -> None:
    """Add one file of the repository to the site."""
    place = site_path(path) or path
    files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))


def rooms() -> list[str]:
    """The folders directly below the package that have a face."""
    return sorted(path.parent.name for path in (ROOT / "rag_rec").glob("*/__init__.py"))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links of the repository at pages of the site, or make them plain text."""
    del config
    here = repository_path(page.file.src_uri)

    def replace(match: re.Match[str]) -> str:
        mark, text, link, anchor = match.groups()
        if "://" in link:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
        place = site_path(path)
        if place is None or files.get_file_from_path(place) is None:
            return text if (ROOT / path).exists() else match[0]
        relative = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"{mark}[{text}]({relative}{anchor or ''})"

    return LINK.sub(replace, markdown)
