"""A headless Chromium for the tests that look at a page."""

import shutil
import urllib.request
from contextlib import contextmanager

import pytest
from selenium import webdriver

FLAGS = "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
URLOPEN = (
    urllib.request.urlopen
)  # before the tests go offline: through it the driver is told to stop


@contextmanager
def browser(profile, width=1280, scheme="light"):
    """Yield a Chromium whose window is ``width`` wide, in light or dark; skip the test where it is not installed."""
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not chromium or not (driver := shutil.which("chromedriver")):
        pytest.skip(
            "needs Chromium and its chromedriver, from the packages chromium and chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        f"{FLAGS} disable-component-update disable-sync user-data-dir={profile}".split()
    ):
        options.add_argument(f"--{flag}")
    metrics = {
        "width": width,
        "height": 844,
        "deviceScaleFactor": 1,
        "mobile": width < 600,
    }
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        yield opened
    finally:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("urllib.request.urlopen", URLOPEN)
            opened.quit()
