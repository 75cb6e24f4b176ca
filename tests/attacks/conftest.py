import pytest

from canary import Canary
from stoa_server import CHAT, EMBED, MODELS, Stoa
from tenants import make_tenant
from world import World, blindfold, own_things, plant


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """With the models where they are there: what needs them skips."""
    models = all((MODELS / name).exists() for name in (CHAT, EMBED))
    running = Stoa(tmp_path_factory.mktemp("attacked"), models=models, environment={"STOA_LOG_FORMAT": "json"})
    running.has_models = models
    yield running.start()
    running.stop()


@pytest.fixture(scope="session")
def world(server):
    made = World(server)
    # The victim's tenant: its owner, a colleague, a viewer, an admin, and somebody of another project.
    made.add_caller("olga", server.key("olga", "developer"))
    made.add_caller("peter", server.key("peter", "developer"))
    made.add_caller("vera", server.key("vera", "viewer"))
    made.add_caller("adam", server.key("adam", "admin"))
    make_tenant(made, "other")
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
