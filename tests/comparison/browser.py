"""A headless browser, where the machine has one."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def shown(page: Path, width: int = 1200, ended: str = "") -> str:
    """The document of a page after its scripts ran.

    Args:
        page: An HTML file.
        width: Of the window, in pixels.
        ended: A script that runs after all others.
    """
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    run = page.with_name(f"run-{page.name}")
    text = page.read_text("utf-8")
    run.write_text(text.replace("</body>", f"<script>{ended}</script></body>"), "utf-8")
    command = [
        *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},2000"),
        *("--virtual-time-budget=2000", "--dump-dom", run.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False, text=True)
    if not done.stdout:
        pytest.skip(f"Chromium does not start here: {done.stderr[-200:]}")
    return done.stdout
