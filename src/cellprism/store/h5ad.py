"""AnnData files: written whole or not at all, also where the disk fills up while HDF5 writes."""

import io
from pathlib import Path

import h5py
from anndata import AnnData
from anndata.io import write_elem

from cellprism.store.atomic import replacing


class _Patient(io.FileIO):
    """A file that keeps the first error of writing instead of raising it.

    HDF5 does not get over a failed write: it complains at every object that is closed, and may crash at the end.
    """

    error: OSError | None = None

    def write(self, data, /) -> int:
        """Write all of it, or nothing once something failed."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
            self.seek(len(view) - done, io.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut off or fill up, unless something failed."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0

    def flush(self) -> None:
        """Nothing is held back."""


def write_h5ad(path: Path, data: AnnData) -> None:
    """Write an AnnData, compressed; text columns become categories, as in anndata's own writer.

    Raises:
        DiskError: the disk is full or read-only, or the path is none.
    """
    data.strings_to_categoricals()
    with replacing(path) as scratch, _Patient(scratch, "w+b") as stream:
        with h5py.File(stream, "w") as file:
            write_elem(file, "/", data, dataset_kwargs={"compression": "gzip"})
        if stream.error is not None:
            raise stream.error
