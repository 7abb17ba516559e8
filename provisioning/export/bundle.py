"""The files of an export, and all of them as one ZIP archive (PURE)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

from provisioning.export import cdk, cloudformation, guide, terraform
from provisioning.export.content import Export, Format, Stack

_WRITERS: Mapping[Format, Callable[[Stack], dict[str, str]]] = {
    Format.TERRAFORM: terraform.files,
    Format.CLOUDFORMATION: cloudformation.files,
    Format.CDK_TYPESCRIPT: cdk.typescript_files,
    Format.CDK_PYTHON: cdk.python_files,
}
# ZIP has no earlier date. A fixed one makes two exports of the same thing the same archive.
_DATE = (1980, 1, 1, 0, 0, 0)


def files_of(export: Export, form: Format) -> dict[str, str]:
    """The text of each file by its path. Several stacks have a folder each."""
    found = {"README.md": guide.readme(export, form)}
    for stack in export.stacks:
        folder = f"{guide.folder(stack)}/" if len(export.stacks) > 1 else ""
        found |= {f"{folder}{name}": text for name, text in _WRITERS[form](stack).items()}
    return found


def as_zip(files: Mapping[str, str]) -> bytes:
    """The files as an archive."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def archive_name(export: Export, form: Format) -> str:
    """The archive's file name."""
    return f"{export.name}-{form}.zip"
