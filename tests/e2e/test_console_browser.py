"""The console's pages in a real Chromium, with a real daemon and nothing reachable but loopback."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import networks
import pytest
from networks import Shape

sys.path.append(str(Path(__file__).parents[1] / "integration"))
sys.path.append(str(Path(__file__).parent))
from browser_bench import Namespace, Service, dropped, missing
from commands import PATIENCE, ROOT, command, png, small_model, small_scale, wait_for

from srwatchd.control.socket import call

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

HOSTILE = "<img src=x onerror=document.title=1>\u202egnp.png"


def configuration(folder):
    model = small_model()
    text = f"""
memory_limit: 1536MiB
defaults: {{model: {model}, min_free: 1, settle: 0.2, grace: 0.5}}
folders:
  - {{id: photos, inbox: photos/in, done: photos/done, error: photos/error}}
  - {{id: posters, inbox: posters/in, done: posters/done, error: posters/error, model: edsr_x4}}
"""
    config = folder / "srwatchd.yaml"
    config.write_text(text)
    return config


@pytest.fixture(scope="module")
def namespace():
    with Namespace() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory, namespace):
    with Service(configuration(tmp_path_factory.mktemp("console")), namespace) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory, namespace):
    from playwright.sync_api import sync_playwright

    program = namespace.browser(tmp_path_factory.mktemp("browser"))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            timeout=PATIENCE * 1000,
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def profile(chromium, service):
    """A fresh profile. Nothing in it asks for anything elsewhere, nor writes an error but of a refused request."""
    made = chromium.new_context(locale="en-GB", base_url=service.url, viewport={"width": 1440, "height": 900})
    made.set_default_timeout(PATIENCE * 1000)
    elsewhere, errors = [], []
    made.on("request", lambda asked: asked.url.startswith((service.url, "blob:")) or elsewhere.append(asked.url))
    made.on("console", lambda said: said.type in ("error", "warning") and errors.append(said.text))
    made.on("weberror", lambda error: errors.append(str(error.error)))
    yield made
    made.close()
    assert elsewhere == []
    assert [each for each in errors if not each.startswith("Failed to load resource")] == []


@pytest.fixture
def context(chromium, service):
    with profile(chromium, service) as made:
        yield made


@pytest.fixture
def page(context):
    found = context.new_page()
    found.goto("/")
    found.wait_for_selector(".choice")
    return found


def put(service, name, content, folder="photos"):
    """A picture that comes over a share, complete at once."""
    place = service.folder / folder / "in"
    (place / ".coming").write_bytes(content)
    (place / ".coming").rename(place / name)


def job_of(page, name, patience=PATIENCE):
    """The newest job of a name, once it has ended."""
    script = """async (name) => {
        const {jobs} = await (await fetch(`/api/v1/jobs?q=${encodeURIComponent(name)}`)).json();
        return jobs.find((job) => job.outcome !== "running" && job.outcome !== "released") ?? null;
    }"""
    return wait_for(lambda: page.evaluate(script, name), patience)


def colours(page):
    """How many colours the viewer shows: one until something is drawn. A copy is read: of twice the same it warns."""
    return page.evaluate("""() => {
        const canvas = document.querySelector(".stage canvas");
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
        const seen = new Set();
        for (let at = 0; at < data.length; at += 404) seen.add(data.slice(at, at + 4).join());
        return seen.size;
    }""")


def test_files_and_a_folder_are_dropped_enlarged_and_looked_at(page, service, tmp_path):
    """Sub folders are kept, hidden files left out; a name with markup and a direction mark is only a name."""
    (tmp_path / "holiday" / "day 2").mkdir(parents=True)
    (tmp_path / "holiday" / "day 2" / "海滩.png").write_bytes(png(240, 160))
    (tmp_path / "holiday" / ".DS_Store").write_bytes(b"x")
    (tmp_path / HOSTILE).write_bytes(png(320, 200, shade=30))

    dropped(page, "[data-folder=photos]", [tmp_path / HOSTILE, tmp_path / "holiday"])

    page.get_by_text("2 uploaded").wait_for()
    page.get_by_text("1 hidden or system file was left out.").wait_for()
    scale = small_scale()
    done = service.folder / "photos" / "done"
    wait_for((done / "holiday" / "day 2" / f"海滩_x{scale}.png").exists)
    wait_for(lambda: page.locator(".card").count() >= 2)
    assert page.locator("img[src=x], b").count() == 0
    assert page.title() == "Home · srwatchd"

    page.locator(".card", has_text="<img src=x").click()
    page.wait_for_selector(".stage[data-busy=false]")
    wait_for(lambda: colours(page) > 20)
    assert page.locator("h1").inner_text().startswith("<img src=x onerror=document.title=1>")
    assert "\u202e" not in page.locator("body").inner_text()
    assert f"{320 * scale:,} \u00d7 {200 * scale:,}" in page.locator(".facts").inner_text().replace("\u00a0", " ")

    page.get_by_role("button", name="8 screen pixels").click()
    wait_for(lambda: page.locator(".stage canvas").get_attribute("data-scale") == "8.0000")  # at the next frame
    box = page.locator(".stage canvas").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.wheel(0, 400)
    wait_for(lambda: float(page.locator(".stage canvas").get_attribute("data-scale")) < 8)
    slider = page.get_by_role("slider")
    before = page.locator(".slider-line").evaluate("(line) => line.style.left")
    slider.focus()
    page.keyboard.press("PageUp")
    wait_for(lambda: page.locator(".slider-line").evaluate("(line) => line.style.left") != before)
    assert page.locator(".timeline > li").count() >= 5
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download result").click()
    assert Path(waiting.value.path()).read_bytes()[:4] == b"\x89PNG"


def test_the_tiles_of_a_picture_in_work_fill(page, service):
    """The queue is live: a slow picture appears with its tiles, and is among the results when it is through."""
    put(service, "slow.png", png(700, 500), "posters")
    slow = page.locator(".running li", has_text="slow.png")
    with service.held_at_a_tile("slow.png"):
        slow.filter(has_text="Enlarge").filter(has=page.locator(".tiles .done")).wait_for()
    page.locator(".card", has_text="slow.png").wait_for(timeout=240_000)
    wait_for(lambda: slow.count() == 0)


def test_what_failed_says_why_in_both_languages_and_is_retried(page, service):
    """On top of the first page, with code and hint; the button puts it back, where it fails once more."""
    put(service, "cut.png", png(300, 300)[:-400])
    need = page.locator(".need", has_text="cut.png")
    need.wait_for()
    assert "Incomplete or damaged" in need.inner_text()
    assert "incomplete" in need.locator("code").inner_text()

    page.locator("#language").select_option("zh")
    page.get_by_role("heading", name="放入图片").wait_for()
    assert "文件不完整或已损坏。请从来源处重新放入。" in need.inner_text()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.reload()
    page.get_by_role("heading", name="放入图片").wait_for()
    page.locator("#language").select_option("en")

    first = job_of(page, "cut.png")["job"]
    page.locator(".need", has_text="cut.png").get_by_role("button").click()
    wait_for(lambda: job_of(page, "cut.png")["job"] != first)


def test_a_click_is_not_lost_to_what_changes_meanwhile(page, service):
    """The figures beside a button change while it is held down; it is clicked all the same, and then they are drawn."""
    page.goto("/#/folders")
    folder = page.locator("[data-id=photos]")
    seen = "async (least) => (await import('/js/live.js')).live.now.folders[0].delivered >= least"
    drawn = folder.locator(".folder-figures > div", has_text="delivered").locator("dd")
    before = int(drawn.inner_text())
    folder.get_by_role("button", name="Pause").hover()
    page.mouse.down()
    put(service, "meanwhile.png", png(40, 40))
    wait_for(lambda: page.evaluate(seen, before + 1))
    page.mouse.up()
    try:
        folder.get_by_role("button", name="Resume").click()
        folder.get_by_role("button", name="Pause").wait_for()
        assert int(drawn.inner_text()) > before
    finally:
        call(service.folder / "var" / "control.sock", "resume", folder="photos")


def test_what_a_folder_does_not_take_is_said_and_cleared(page, service, tmp_path):
    """A refused upload shows its reason; the others go on; the list is cleared by hand."""
    (tmp_path / "good.png").write_bytes(png(40, 40))
    (tmp_path / "half.part").write_bytes(b"x")
    dropped(page, "[data-folder=photos]", [tmp_path / "half.part", tmp_path / "good.png"])
    refused = page.locator(".upload[data-state=failed]")
    refused.wait_for()
    assert "name_unwanted" in refused.inner_text()
    page.get_by_text("1 uploaded").wait_for()
    page.get_by_role("button", name="Clear the list").click()
    wait_for(lambda: page.locator(".upload").count() == 0)


def test_the_keyboard_is_enough(page, service):
    """From the first Tab to a picture at eight times its size, without a mouse and with a visible focus."""
    put(service, "keys.png", png(64, 48))
    job_of(page, "keys.png")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "History"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector(".jobrow")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.get_by_role("searchbox").focus()
    page.keyboard.type("keys")
    wait_for(lambda: page.locator(".jobrow").count() == 1)
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('name')"):
            break
    page.evaluate("location.hash = '#/history?q=keys.png'")  # as what was typed does, a moment later
    wait_for(lambda: page.get_by_role("searchbox").input_value() == "keys.png")
    wait_for(lambda: page.locator("[aria-busy=true]").count() == 0)
    assert page.evaluate("document.activeElement.textContent") == "keys.png", "the list lost the focus"
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage canvas")
    page.locator(".stage canvas").focus()
    page.keyboard.press("8")
    wait_for(lambda: page.locator(".stage canvas").get_attribute("data-scale") == "8.0000")


def test_every_view_names_its_parts(page, service):
    """One h1, one main, every control with a name, nothing wider than a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    for way in ("", "history", "folders", "models", "ledger"):
        page.goto(f"/#/{way}")
        page.wait_for_selector("h1")
        wait_for(lambda: page.locator("[aria-busy=true]").count() == 0)
        found = page.evaluate("""() => ({
            h1: document.querySelectorAll("h1").length,
            main: document.querySelectorAll("main").length,
            wide: document.documentElement.scrollWidth - innerWidth,
            nameless: [...document.querySelectorAll("button, a, input:not([aria-hidden]), select, summary")]
                .filter((control) => control.checkVisibility())
                .filter((control) => !(control.textContent.trim() || control.ariaLabel || control.labels?.length))
                .map((control) => control.outerHTML),
        })""")
        assert found == {"h1": 1, "main": 1, "wide": 0, "nameless": []}, way


def test_fifty_tabs_do_not_block_an_upload(context, page, tmp_path):
    """Pages look by short questions: no tab keeps a connection that an upload needs."""
    (tmp_path / "among tabs.png").write_bytes(png(30, 30))
    page.evaluate("() => { for (let tab = 0; tab < 50; tab += 1) open('/#/folders'); }")
    wait_for(lambda: page.evaluate("true") and len(context.pages) == 51, 180)  # a call lets the news of tabs in
    page.bring_to_front()
    dropped(page, "[data-folder=photos]", [tmp_path / "among tabs.png"])
    page.get_by_text("1 uploaded").wait_for(timeout=120_000)


def test_login_roles_and_a_daemon_that_is_down(chromium, namespace, tmp_path):
    """As soon as there is a user, everybody logs in; a viewer sees everything and can change nothing.

    When the daemon ends, the page stays, says that nothing runs, and what to do.
    """
    config = configuration(tmp_path)
    for name, role in (("anna", "operator"), ("otto", "viewer")):
        words = command("console", "user", "add", name, "--role", role, "--password-stdin", "--config", config)
        subprocess.run(words, cwd=ROOT, input="a good password\n", text=True, check=True, capture_output=True)

    with Service(config, namespace) as service, profile(chromium, service) as context:
        page = context.new_page()
        page.goto("/")

        def enter(name, password):
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Log in").click()

        enter("otto", "a wrong password")
        page.get_by_role("alert").get_by_text("The name or the password is wrong.").wait_for()
        enter("otto", "a good password")
        page.get_by_text("Dropping pictures takes the role operator.").wait_for()
        page.goto("/#/folders")
        page.wait_for_selector(".folder")
        assert page.get_by_role("button", name="Pause").count() == 0
        refused = page.evaluate("""async () => {
            const answer = await fetch("/api/v1/folders/photos/pause", {method: "POST", headers: {"X-Srwatchd": "1"}});
            return [answer.status, (await answer.json()).error.code];
        }""")
        assert refused == [403, "not_allowed"]

        page.get_by_role("button", name="Log out otto").click()
        enter("anna", "a good password")
        page.get_by_role("button", name="Pause photos").click()
        page.get_by_role("button", name="Resume photos").click()
        page.get_by_role("button", name="Pause photos").wait_for()

        service.stop_daemon()
        page.locator(".state[data-state=down]").wait_for()
        page.goto("/#/")
        page.locator(".need", has_text="not_running").wait_for()


def test_a_model_comes_in_by_the_page_is_used_and_goes(chromium, namespace, tmp_path):
    """What is no model is refused in words; a good one is tried, kept, found as recorded and used by who waits for it.

    Once it is removed the page has it no more.
    """
    config = configuration(tmp_path)
    config.write_text(config.read_text().replace("edsr_x4", "my_net"))
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    (tmp_path / "net.onnx").write_bytes(networks.onnx(Shape(scale=3)))
    with Service(config, namespace) as service, profile(chromium, service) as context:
        page = context.new_page()
        page.goto("/#/models")
        page.wait_for_selector("tr[data-model]")
        page.locator("summary", has_text="Import a model").click()
        state = page.locator(".import-state")

        page.locator("#model-file").set_input_files(tmp_path / "broken.onnx")
        page.locator("form button", has_text="Import a model").click()
        state.get_by_text("Refused; nothing was changed").wait_for()
        assert "model_refused" in state.locator(".notice").inner_text()

        page.locator("#model-file").set_input_files(tmp_path / "net.onnx")
        page.get_by_label("Name", exact=True).fill("my_net")
        page.locator("form button", has_text="Import a model").click()
        with service.import_held():
            state.get_by_text("Trying it").wait_for()
            page.goto("/#/folders")  # whoever looks elsewhere meanwhile finds it again
            page.locator(".folder[data-id=posters] .hold", has_text="model_missing").wait_for()
            page.goto("/#/models")
            state.get_by_text("Trying it").wait_for()
        state.locator("strong", has_text="Imported").wait_for(timeout=120_000)
        assert state.locator(".notice").count() == 0
        row = page.locator("tr[data-model=my_net]")
        row.get_by_role("button", name="Verify my_net").click()
        row.get_by_text("as recorded").wait_for()
        assert row.get_by_role("link", name="posters").count() == 1

        put(service, "seen.png", png(40, 30), "posters")
        job = job_of(page, "seen.png", 180)  # a held folder is looked at again within half a minute
        assert (job["outcome"], job["model"], job["result"]["width"]) == ("delivered", "my_net", 120)

        used = command("models", "remove", "my_net", "--config", config)
        assert subprocess.run(used, cwd=ROOT, capture_output=True, check=False).returncode == 4
        config.write_text(config.read_text().replace(", model: my_net", ""))
        service.daemon.send_signal(signal.SIGHUP)
        subprocess.run(used, cwd=ROOT, capture_output=True, check=True)
        page.reload()
        page.wait_for_selector("tr[data-model]")
        assert row.count() == 0
