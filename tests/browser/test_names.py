"""The tag under a word of the owner's own: what a real page asks for, by the code that the server prints."""

import subprocess

import pytest
from conftest import AGENT, PERSON, Stage

from server import retag, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("names"), rate_limits="off", path_name="goods") as found:
        yield found


@pytest.mark.parametrize("more", [[], ["--integrity"]])
def test_no_request_bears_a_name_that_blockers_know(server, chromium, monkeypatch, more):
    """Script, beacon and debug module, with and without integrity: all under the word, and it counts."""
    monkeypatch.setenv("RETAG_PATH_NAME", "goods")
    command = retag(
        "snippet", "--address", server.url, *more, "--database", f"sqlite:///{server.folder}/retag.db"
    )
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "/goods/?tid=" in code
    context = chromium.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    stage = Stage(server, context, f"names{len(more)}")
    asked = []
    context.on("request", lambda one: asked.append(one.url.removeprefix(server.url)))
    page = context.new_page()
    stage.show(calls=None, script=code.partition("<noscript>")[0], query="?retag_debug=1", page=page)
    stage.until("init")
    stage.wait(lambda: len(asked) >= 4)
    assert [path for path in asked[1:] if not path.startswith(("/goods.js", "/goods/", "data:"))] == []
    assert "/goods/" in asked
    context.close()
