"""The bundle that travels in the wheel is that of the TypeScript beside it."""

import hashlib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ASSETS = REPOSITORY / "src" / "cellprism" / "atlas" / "assets"


def test_the_bundle_is_not_stale():
    web = REPOSITORY / "web"
    names = [path.relative_to(web).as_posix() for kind in ("*.ts", "*.css") for path in (web / "src").rglob(kind)]
    found = hashlib.sha256()
    for name in sorted([*names, "package-lock.json", "vite.config.ts"]):
        found.update(f"{name}\n".encode() + (web / name).read_bytes())
    assert (ASSETS / "sources.sha256").read_text().strip() == found.hexdigest(), "make web, and commit what it makes"


def test_the_bundle_is_small_and_names_no_other_place():
    script = (ASSETS / "atlas.js").read_text(encoding="utf-8")
    assert len(script) + (ASSETS / "atlas.css").stat().st_size < 200_000
    for word in ("innerHTML", "eval(", "http://", "https://"):
        assert word not in script.replace("http://www.w3.org/2000/svg", "")
