"""Reports in headless Chromium: every control by clicks and keys, pixels of the planes, no error on the console."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import mrcfile
import numpy as np
import pytest

from tomokit.data import Volume
from tomokit.io import write_volume
from tomokit.report.grey_volume import grey_volume, quantized
from tomokit.report.report import ReportRequest, make_report

pytestmark = pytest.mark.long  # by nox -s browser

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests here."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[browser]'")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no chromium with a chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1200,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    except Exception as error:
        pytest.skip(f"chromium does not start: {error}")
    yield driver
    driver.quit()


class Reader:
    """Somebody who looks at a page."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser = browser
        browser.get_log("browser")
        browser.get(path.as_uri())
        self.until(lambda: self.run("return document.documentElement.dataset.ready") == "yes")
        self.settle()

    def until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        limit = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < limit
            time.sleep(0.02)

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.settle()

    def press(self, selector: str, *keys: str) -> None:
        self.find(selector).send_keys(*keys)
        self.settle()

    def slide(self, selector: str, value: int) -> None:
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
        self.run(script, self.find(selector), value)
        self.settle()

    def text(self, selector: str) -> str:
        return str(self.run("return arguments[0].textContent", self.find(selector)))

    def picture(self, selector: str) -> np.ndarray:
        """What a canvas shows, [row, column, colour], 0 to 255."""
        canvas = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", canvas)
        png = canvas.screenshot_as_png
        return matplotlib.image.imread(io.BytesIO(png))[:, :, :3] * 255

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


def plane(name: str, label: str = "A") -> str:
    return f'canvas[data-plane="{name}"][data-subject="{label}"]'


@pytest.fixture(scope="module")
def pages(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages: of one run with all that there can be, and of three tomograms beside each other."""
    folder = tmp_path_factory.mktemp("pages")
    with mrcfile.open(made / "out.mrc") as file:
        values = file.data.copy()
    ramp = np.linspace(0, 1, values.size, dtype=np.float32).reshape(values.shape)
    write_volume(folder / "trust.mrc", Volume(ramp, 10.0))
    regions = {"regions": [{"name": "a <i>", "rectangle": [5, 6, 15, 16], "z": 3}]}
    (folder / "regions.json").write_text(json.dumps(regions))
    from tomokit.report.fourier import Halves

    halves = Halves(made / "out.mrc", folder / "trust.mrc", None, folder / "trust.mrc")
    one = ReportRequest([made / "run.h5"], [halves], folder / "regions.json")
    (folder / "one.html").write_bytes(make_report(one).html)
    write_volume(folder / "larger.mrc", Volume(np.repeat(np.repeat(values, 2, 1), 2, 2), 10.0))
    write_volume(folder / "finer.mrc", Volume(np.kron(values, np.ones((2, 2, 2), np.float32)), 5.0))
    paths = [made / "out.mrc", folder / "larger.mrc", folder / "finer.mrc"]
    (folder / "three.html").write_bytes(make_report(ReportRequest(paths)).html)
    return folder


@pytest.fixture
def one(browser: Any, pages: Path) -> Iterator[Reader]:
    reader = Reader(browser, pages / "one.html")
    yield reader
    assert reader.errors() == []


def test_planes_show_the_tomogram(one: Reader, made: Path) -> None:
    """Each pixel is the level of its voxel between black and white: y and z upward, in all three planes."""
    one.click("#show-cross")
    one.click("#show-regions")
    with mrcfile.open(made / "out.mrc") as file:
        values = file.data.copy()
    grey = grey_volume(values, 10**7)
    levels = np.stack([s for s, _ in quantized(values, 1, grey.low, grey.high, grey.levels)]).astype(float)
    black, white = grey.window
    shown = np.clip((levels - black) / (white - black), 0, 1) * 255
    expected = {"xy": shown[8, ::-1, :], "xz": shown[::-1, 16, :], "yz": shown[:, ::-1, 20].T}
    for name, image in expected.items():
        picture = one.picture(plane(name))
        rows = ((np.arange(image.shape[0]) + 0.5) * picture.shape[0] / image.shape[0]).astype(int)
        columns = ((np.arange(image.shape[1]) + 0.5) * picture.shape[1] / image.shape[1]).astype(int)
        seen = picture[np.ix_(rows, columns)]
        # The name in a corner and the scale bar are drawn over it.
        inside = np.s_[3:-5, 5:] if name == "xy" else np.s_[6:, 6:]
        assert np.abs(seen[inside] - image[inside][..., None]).max() <= 2, name


def test_sliders_clicks_and_keys_move_the_place(one: Reader) -> None:
    assert one.text("#place-z") == "9 of 16, +0.50 nm"
    before = one.picture(plane("xy"))
    one.slide("#position-z", 2)
    assert one.text("#place-z").startswith("3 of 16")
    assert (one.picture(plane("xy")) != before).any()
    one.press(plane("xy"), "\ue00f")  # Page Down
    one.press(plane("xy"), "\ue012", "\ue013")  # left, up
    assert [one.text(f"#place-{axis}").split(" of ")[0] for axis in "xyz"] == ["20", "18", "2"]
    one.press(plane("yz"), "\ue008", "\ue014")  # Shift and right: ten along z
    assert one.text("#place-z").startswith("12 of 16")
    one.press(plane("xz"), "\ue011")  # Home
    assert [one.text(f"#place-{axis}").split(" of ")[0] for axis in "xyz"] == ["21", "17", "9"]
    one.press("#position-x", "\ue014")
    assert one.text("#place-x").startswith("22 of 40")
    box = one.find(plane("xy"))
    one.run("arguments[0].scrollIntoView()", box)
    from selenium.webdriver import ActionChains

    ActionChains(one.browser).move_to_element_with_offset(
        box, box.size["width"] // 2 - 3, 2 - box.size["height"] // 2
    ).click().perform()
    one.settle()
    assert [one.text(f"#place-{axis}").split(" of ")[0] for axis in "xy"] == ["40", "32"]
    assert one.run("return document.activeElement.dataset.plane") == "xy"
    one.click("#centre")
    assert one.text("#place-x").startswith("21 of 40")


def test_contrast(one: Reader) -> None:
    one.click("#show-cross")
    plain = one.picture(plane("xz")).mean()
    one.slide("#white-A", 255)
    assert one.picture(plane("xz")).mean() < plain
    one.slide("#black-A", 254)
    assert one.text("#panel-A .readout").count("black") == 1
    assert int(one.run("return document.getElementById('white-A').value")) == 255
    one.slide("#white-A", 0)  # never below black
    assert int(one.run("return document.getElementById('white-A').value")) == 255
    one.click("#reset-contrast")
    assert one.picture(plane("xz")).mean() == pytest.approx(plain, abs=0.5)
    one.click("#invert")
    assert one.picture(plane("xz")).mean() == pytest.approx(255 - plain, abs=2)
    one.press(plane("xz"), "i", "r")
    assert one.picture(plane("xz")).mean() == pytest.approx(plain, abs=0.5)
    one.find("#slab").send_keys("9")
    one.settle()
    assert one.picture(plane("xz"))[30:].std() != pytest.approx(0)


def test_what_is_drawn_over(one: Reader) -> None:
    assert not one.find("#octree-label").is_displayed()  # the method has none
    bare = one.picture(plane("yz"))
    for key, box in (("g", "#show-regions"), ("c", "#show-cross")):
        ticked = one.find(box).is_selected()
        one.press(plane("xy"), key)
        assert one.find(box).is_selected() != ticked
    one.press(plane("xy"), "t")
    assert one.find("#show-trust").is_selected()
    assert one.find("#trust-scale").is_displayed()
    assert float(one.text("#trust-high")) == pytest.approx(1, abs=0.01)
    assert (one.picture(plane("yz")) != bare).any()
    one.slide("#trust-opacity", 100)
    colours = one.picture(plane("xz"))
    # From low, dark violet at the first sections, to high, yellow at the last; z upward.
    assert colours[-3, -3] == pytest.approx([68, 1, 84], abs=12)
    assert colours[2, -3] == pytest.approx([253, 231, 37], abs=25)
    assert "map there" in one.text("#panel-A .readout")


def test_the_octree_is_drawn_on_demand(browser: Any, made: Path, tmp_path: Path) -> None:
    from tomokit.commands.app import run

    words = ["--thickness", "16", "--no-preview", "--state", str(tmp_path / "o.h5")]
    options = ["n=5", "leaf_px=8", "epochs=1"]
    settings = [word for option in options for word in ("--set", option)]
    assert run(["reconstruct", str(made / "tilts.mrc"), "-o", str(tmp_path / "o.mrc"), *words, *settings]) == 0
    (tmp_path / "o.html").write_bytes(make_report(ReportRequest([tmp_path / "o.h5"], read_views=False)).html)
    reader = Reader(browser, tmp_path / "o.html")
    reader.click("#show-cross")
    before = {name: reader.picture(plane(name)) for name in ("xy", "xz", "yz")}
    assert not reader.find("#octree-key").is_displayed()
    reader.press(plane("xy"), "o")
    assert "leaves of 8 voxels" in reader.text("#octree-key")
    for name, picture in before.items():
        drawn = np.abs(reader.picture(plane(name)) - picture).max(axis=2) > 20
        # Lines along both axes, and what is between them as it was.
        assert 0.01 < drawn.mean() < 0.3, name
        assert drawn.mean(axis=0).max() > 0.5, name
        assert drawn.mean(axis=1).max() > 0.5, name
    reader.click("#show-octree")
    assert (reader.picture(plane("xy")) == before["xy"]).all()
    assert reader.errors() == []


def test_charts_are_read_by_pointer_and_keys(one: Reader) -> None:
    figures = one.browser.find_elements("css selector", ".chart")
    assert len(figures) == 4  # loss, held-out views, rings, shells
    for chart in figures:
        chart.send_keys("\ue014", "\ue014")
    told = [one.run("return arguments[0].parentNode.querySelector('.told').textContent", chart) for chart in figures]
    assert told[-1].startswith("spatial frequency")
    one.run("arguments[0].scrollIntoView()", figures[0])
    from selenium.webdriver import ActionChains

    ActionChains(one.browser).move_to_element(figures[0]).perform()
    assert one.run("return arguments[0].parentNode.querySelector('.told').textContent", figures[0]).startswith(
        "epoch 2"
    )
    assert "5 held out" not in one.text("#geometry")
    assert "16 views, 3 of them held out" in one.text("#geometry")
    images = one.browser.find_elements("css selector", ".strip img")
    assert [one.run("return arguments[0].naturalWidth", image) for image in images] == [40, 40, 40]
    for part in one.browser.find_elements("css selector", "details"):
        summary = part.find_element("css selector", "summary")
        one.run("arguments[0].scrollIntoView({block: 'center'})", summary)
        summary.click()
    assert all(one.run("return [...document.querySelectorAll('details')].map((part) => part.open)"))


def test_light_and_dark(one: Reader) -> None:
    def page_colour() -> str:
        return str(one.run("return getComputedStyle(document.body).backgroundColor"))

    light = page_colour()
    one.press("#theme", "dark")
    assert page_colour() != light
    one.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page_colour() == "rgb(255, 255, 255)"
    assert not one.find("#controls").is_displayed()
    one.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_tomograms_are_shown_at_one_place(browser: Any, pages: Path) -> None:
    """A larger one and one of finer voxels: linked by length from the middle."""
    reader = Reader(browser, pages / "three.html")
    reader.click("#show-cross")
    assert reader.run("return document.getElementById('position-x').max") == "79"
    reader.slide("#position-x", 45)  # 5.5 voxels of the larger one from its middle
    reader.slide("#position-z", 3)
    inner = np.s_[60:-60, 20:-5]
    one, finer = (reader.picture(plane("yz", label)) for label in "AC")
    assert np.abs(one.mean() - finer.mean()) < 3
    reader.slide("#position-x", 79)
    assert "outside" in reader.text("#panel-A .readout")
    assert "outside" not in reader.text("#panel-B .readout")
    assert reader.picture(plane("yz"))[inner].max() <= 255
    # Contrast is linked until it is not.
    start = int(reader.run("return document.getElementById('black-B').value"))
    reader.slide("#black-A", 90)
    moved = int(reader.run("return document.getElementById('black-B').value"))
    assert moved != start
    reader.click("#link-contrast")
    reader.slide("#black-A", 40)
    assert int(reader.run("return document.getElementById('black-B').value")) == moved
    reader.slide("#position-x", 40)
    reader.click("#panel-C .xy")
    assert reader.errors() == []


def test_at_every_width_nothing_is_wider_than_the_page(browser: Any, pages: Path) -> None:
    reader = Reader(browser, pages / "three.html")
    for width in (380, 700, 1024, 1200, 1920):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        reader.settle()
        assert reader.run("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert reader.errors() == []


def test_text_of_files_runs_nowhere(browser: Any, made: Path, tmp_path: Path) -> None:
    name = "<script>document.title='run'<_script><img src=x onerror=document.title='run'>.mrc"
    shutil.copy(made / "out.mrc", tmp_path / name)
    (tmp_path / "r.html").write_bytes(make_report(ReportRequest([tmp_path / name])).html)
    reader = Reader(browser, tmp_path / "r.html")
    assert reader.text("h1") == name
    assert name in reader.text("#panel-A figcaption")
    assert reader.browser.title.startswith("<script>")
    assert len(reader.browser.find_elements("css selector", "img")) == 0
    assert reader.errors() == []
    # The policy holds back what would be put in by any other way.
    reader.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)"
    )
    assert reader.browser.title.startswith("<script>")
    assert "Content Security Policy" in " ".join(reader.errors())
