"""A web page that was saved in place of the file it leads to: the most frequent of wrong downloads."""

SEEN = 1_000
"""Bytes of a file that are enough to tell."""


def is_web_page(start: bytes) -> bool:
    """Whether a file that starts with these bytes is HTML."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype", b"<html"))
