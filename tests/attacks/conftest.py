import pytest

from canary import Canary, Issuer
from stoa_server import CHAT, EMBED, MODELS, Stoa
from test_tokens import public_jwk
from world import World, blindfold, own_things, plant

PROVIDERS = """
providers:
  - name: corp
    issuer: {url}
    audience: [stoa]
    role: viewer
"""


@pytest.fixture(scope="session")
def issuer():
    made = Issuer(public_jwk())
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="session")
def server(tmp_path_factory, issuer):
    """With the models where they are there: what needs them skips."""
    models = all((MODELS / name).exists() for name in (CHAT, EMBED))
    home = tmp_path_factory.mktemp("attacked")
    (home / "providers.yaml").write_text(PROVIDERS.format(url=issuer.url))
    running = Stoa(home, models=models, environment={"STOA_LOG_FORMAT": "json", "STOA_IDENTITY_PROVIDERS": str(home / "providers.yaml")})
    running.has_models = models
    yield running.start()
    running.stop()


@pytest.fixture(scope="session")
def world(server):
    made = World(server)

    def key(user, role, *more):
        return server.json("keys", "create", "--user", user, "--role", role, "--home", str(server.home), *more)["key"]

    # The victim's tenant: its owner, a colleague, a viewer, an admin, and somebody of another project.
    for user, role in (("olga", "developer"), ("peter", "developer"), ("vera", "viewer"), ("oscar", "operator"), ("adam", "admin")):
        made.add_caller(user, key(user, role))
    made.adam.ok("POST", "/v1/stoa/projects", {"name": "second"})
    made.add_caller("nora", key("nora", "developer", "--project", "second"))
    # Another tenant with its admin and a developer.
    server.cli("tenants", "create", "other", "--home", str(server.home))
    made.add_caller("boris", key("boris", "admin", "--tenant", "other"))
    made.add_caller("dora", key("dora", "developer", "--tenant", "other"))
    made.add_caller("stranger", None)
    for caller in made.callers.values():
        if caller.key:
            own_things(caller)
    plant(made)
    blindfold(made)
    return made


@pytest.fixture(scope="session")
def canary():
    made = Canary()
    yield made
    made.shutdown()
    made.server_close()
