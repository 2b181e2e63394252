"""The page: log in with a key, see the network live. Plain HTML and one script, nothing foreign."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

from cms.dashboard.access import COOKIE, SESSION_SECONDS, Access, Caller, PageSession

_STATIC = Path(__file__).parent / "static"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page:
    def __init__(self, access: Access, name: str, secure: bool) -> None:
        """Args:
        name: the operator's name, shown in the title.
        secure: the page is served over TLS, so the cookie is for TLS only.
        """
        self._access = access
        self._name = name
        self._secure = secure
        self._templates = Environment(
            loader=PackageLoader("cms.dashboard"), autoescape=select_autoescape()
        )

    def routes(self) -> list[web.RouteDef | web.StaticDef]:
        return [
            web.get("/", self._home),
            web.get("/login", self._login_form),
            web.post("/login", self._login),
            web.get("/login/once/{token}", self._login_once),
            web.post("/logout", self._logout),
            web.static("/static", _STATIC),
        ]

    async def _home(self, request: web.Request) -> web.Response:
        session = self._access.session(request)
        caller = self._access.caller(request)
        if session is None or caller is None:
            raise web.HTTPSeeOther("/login")
        return self._rendered("home.html", session=session, caller=caller)

    async def _login_form(self, request: web.Request) -> web.Response:
        return self._rendered("login.html", wrong=False)

    async def _login(self, request: web.Request) -> web.Response:
        form = await request.post()
        session = self._access.login(str(form.get("key", "")), request.remote or "")
        if session is None:
            return self._rendered("login.html", status=401, wrong=True)
        return self._entered(session)

    async def _login_once(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        session = self._access.login_once(token, request.remote or "")
        if session is None:
            return self._rendered("login.html", status=401, wrong=True)
        return self._entered(session)

    async def _logout(self, request: web.Request) -> web.Response:
        form = await request.post()
        session = self._access.session(request)
        if session is None or form.get("csrf") != session.csrf:
            raise web.HTTPForbidden(text="not from our page")
        self._access.close_session(request)
        answer = web.HTTPSeeOther("/login")
        answer.del_cookie(COOKIE)
        raise answer

    def _entered(self, session: PageSession) -> web.Response:
        answer = web.Response(status=303, headers={"Location": "/", **_HEADERS})
        answer.set_cookie(
            COOKIE,
            session.id,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=self._secure,
        )
        return answer

    def _rendered(
        self,
        template: str,
        *,
        status: int = 200,
        session: PageSession | None = None,
        caller: Caller | None = None,
        wrong: bool = False,
    ) -> web.Response:
        text = self._templates.get_template(template).render(
            name=self._name, session=session, caller=caller, wrong=wrong
        )
        return web.Response(
            text=text, content_type="text/html", status=status, headers=dict(_HEADERS)
        )
