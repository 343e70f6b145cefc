"""The inbox's page and its files: served as they lie there, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.api_calls import Api, load
from tests.unit.stores import Stores

WEB = Path(__file__).parents[2] / "layers/web/web"
KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}


@pytest.fixture
def api(stores: Stores) -> Api:
    return Api(stores)


def test_the_page_is_served_without_a_token(api: Api) -> None:
    answer = api.call("page")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body == (WEB / "index.html").read_text()
    assert "authorizer" not in load("page")["requestContext"]
    assert api.stores.calls == []


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.iterdir()))
def test_every_file_has_its_type(api: Api, name: str) -> None:
    event = load("page_file")
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/static/{name}"
    event["routeKey"] = "GET /" if name.endswith(".html") else event["routeKey"]
    answer = api.call(event)
    assert answer.body == (WEB / name).read_text()
    assert answer.headers["content-type"] == KINDS[Path(name).suffix]


def test_what_a_browser_has_is_not_sent_again(api: Api) -> None:
    for name in ("page", "page_file"):
        tag = api.call(name).headers["etag"]
        for given in (tag, f'"other", W/{tag}'):
            again = api.call(name, headers={"if-none-match": given})
            assert (again.status, again.body, again.headers["etag"]) == (304, "", tag)
        assert api.call(name, headers={"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize(
    "file",
    [
        "nothing.js",
        "..",
        "../index.html",
        "..%2fapp.py",
        ".inbox.js",
        "inbox.js.",
        "inbox.js/",
        "inbox",
        "/etc/passwd",
        "INBOX.JS",
        "inbox.py",
        "\\inbox.js",
        "",
    ],
)
def test_nothing_else_is_served(api: Api, file: str) -> None:
    answer = api.call("page_file", path=f"/static/{file}")
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("file", [".hidden.js", "Upper.js", "notes.txt", "a b.js", "page.html.js.bak"])
def test_a_file_of_another_kind_of_name_is_not_served_though_it_is_there(
    api: Api, tmp_path: Path, file: str
) -> None:
    for name in (file, "page.js"):
        (tmp_path / name).write_text("content")
    settings = api.ports.settings().model_copy(update={"web_dir": tmp_path})
    api.ports = replace(api.ports, settings=lambda: settings)
    assert api.call("page_file", path="/static/page.js").status == 200
    assert api.call("page_file", path=f"/static/{file}").status == 404
