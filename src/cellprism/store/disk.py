"""What the system says of a disk, as one message: full, not to be written, a path that is none."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from cellprism.errors import DiskError

REMEDIES = {
    errno.ENOSPC: "make room and run the same command again",
    errno.EDQUOT: "make room within your quota and run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) and run the same command again",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.EACCES: "choose a folder that you may write to, or ask for the right to",
    errno.EPERM: "choose a folder that you may write to, or ask for the right to",
    errno.ENOENT: "choose another folder: nothing can be made at this path",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.ENOTDIR: "a part of the path is a file where a folder is expected: move it away, or choose another folder",
    errno.EEXIST: "a part of the path is a file where a folder is expected: move it away, or choose another folder",
    errno.EISDIR: "a folder is where the file is expected: move it away",
    errno.EIO: "the disk does not answer as it should: look after it, or choose another",
}
NUMBER = re.compile(r"(?:errno = |\[Errno |os error )(\d+)")  # as HDF5, Arrow and safetensors put it into words


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing ``path`` into a message; other errors pass.

    Raises:
        DiskError: says what is wrong with the place, and what to do.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # HDF5 says it as a RuntimeError when it closes a file
        number = _number(error)
        if number not in REMEDIES or (number == errno.ENOENT and not _is_about(error, path)):
            raise
        raise DiskError(f"{path} cannot be written ({os.strerror(number)}): {REMEDIES[number]}") from error


def _is_about(error: Exception, path: Path) -> bool:
    """Whether it is the place to write to that does not exist, and not another file that was to be read."""
    missing = getattr(error, "filename", None)
    return not path.parent.exists() or (missing is not None and Path(missing) in (path, *path.parents))


def _number(error: Exception) -> int:
    """The system's number of an error, also where a library has put it into words; 0 where there is none."""
    number = error.errno if isinstance(error, OSError) else None
    said = NUMBER.search(str(error))
    return number or (int(said[1]) if said else 0)
