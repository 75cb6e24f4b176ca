"""Servers that live as long as the session."""
import pytest

from stoa_server import Stoa, need_models


@pytest.fixture(scope="session")
def stoa(tmp_path_factory):
    need_models()
    server = Stoa(tmp_path_factory.mktemp("stoa")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def key(stoa):
    return stoa.key()


@pytest.fixture(scope="session")
def stoa_without_models(tmp_path_factory):
    server = Stoa(tmp_path_factory.mktemp("stoa-bare"), models=False).start()
    yield server
    server.stop()
