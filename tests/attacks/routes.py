"""Every route of the server, and how each is attacked. test_endpoints.py compares the table with what the running binary says it serves."""
import re

# Who may see a thing besides its owner decides who attacks it.
#   own: nobody. project: all of the project. tenant: those who manage keys in the tenant.
OWN, PROJECT, TENANT = "own", "project", "tenant"

# method, path with the names of things in braces, body, whose
WITH_IDS = [
    ("GET", "/v1/files/{file}", None, OWN),
    ("GET", "/v1/files/{file}/content", None, OWN),
    ("GET", "/v1/files/{document}/content", None, OWN),
    ("DELETE", "/v1/files/{file}", None, OWN),
    ("GET", "/v1/vector_stores/{store}", None, PROJECT),
    ("POST", "/v1/vector_stores/{store}", {"name": "taken over"}, PROJECT),
    ("DELETE", "/v1/vector_stores/{store}", None, PROJECT),
    ("POST", "/v1/vector_stores/{store}/search", {"query": "garden"}, PROJECT),
    ("POST", "/v1/vector_stores/{store}/files", {"file_id": "{own file}"}, PROJECT),
    ("GET", "/v1/vector_stores/{store}/files", None, PROJECT),
    ("GET", "/v1/vector_stores/{store}/files/{file}", None, OWN),
    ("GET", "/v1/vector_stores/{store}/files/{document}", None, OWN),
    ("POST", "/v1/vector_stores/{store}/files/{file}", {"attributes": {"a": "b"}}, OWN),
    ("DELETE", "/v1/vector_stores/{store}/files/{file}", None, OWN),
    ("GET", "/v1/vector_stores/{store}/files/{file}/content", None, OWN),
    ("GET", "/v1/vector_stores/{own store}/files/{file}", None, OWN),
    ("GET", "/v1/vector_stores/{own store}/files/{document}", None, OWN),
    ("DELETE", "/v1/vector_stores/{own store}/files/{document}", None, OWN),
    ("GET", "/v1/vector_stores/{own store}/files/{document}/content", None, OWN),
    ("GET", "/v1/vector_stores/{own store}/file_batches/{batch}", None, PROJECT),
    ("POST", "/v1/vector_stores/{store}/file_batches", {"file_ids": ["{own file}"]}, PROJECT),
    ("GET", "/v1/vector_stores/{store}/file_batches/{batch}", None, PROJECT),
    ("GET", "/v1/vector_stores/{store}/file_batches/{batch}/files", None, PROJECT),
    ("GET", "/v1/responses/{response}", None, OWN),
    ("DELETE", "/v1/responses/{response}", None, OWN),
    ("POST", "/v1/responses/{response}/cancel", None, OWN),
    ("GET", "/v1/responses/{response}/input_items", None, OWN),
    ("GET", "/v1/batches/{work}", None, OWN),
    ("POST", "/v1/batches/{work}/cancel", None, OWN),
    ("GET", "/v1/messages/batches/{messages}", None, OWN),
    ("GET", "/v1/messages/batches/{messages}/results", None, OWN),
    ("POST", "/v1/messages/batches/{messages}/cancel", None, OWN),
    ("DELETE", "/v1/messages/batches/{messages}", None, OWN),
    ("POST", "/v1/uploads/{upload}/parts", None, OWN),
    ("POST", "/v1/uploads/{upload}/complete", {"part_ids": ["part_x"]}, OWN),
    ("POST", "/v1/uploads/{upload}/cancel", None, OWN),
    ("GET", "/v1/stoa/traces/{trace}", None, PROJECT),
    ("GET", "/v1/stoa/traces/{request}", None, PROJECT),
    ("GET", "/v1/stoa/traces/{response}", None, PROJECT),
    ("GET", "/v1/stoa/passports/{response}", None, TENANT),
    ("GET", "/v1/stoa/passports/{request}", None, TENANT),
    ("GET", "/v1/stoa/passports/{trace}", None, TENANT),
    ("DELETE", "/v1/stoa/ratings/{rating}", None, OWN),
    ("GET", "/v1/stoa/datasets/{dataset}", None, PROJECT),
    ("GET", "/v1/stoa/datasets/{version}", None, PROJECT),
    ("GET", "/v1/stoa/datasets/{dataset}/versions", None, PROJECT),
    ("GET", "/v1/stoa/datasets/{dataset}/rows", None, PROJECT),
    ("GET", "/v1/stoa/datasets/{version}/rows", None, PROJECT),
    ("GET", "/v1/stoa/documents/{document}", None, OWN),
    ("GET", "/v1/stoa/documents/{document}/content", None, OWN),
    ("PUT", "/v1/stoa/collections/{store}/search", {"mode": "text"}, PROJECT),
    ("POST", "/v1/stoa/collections/{store}/reindex", {}, PROJECT),
    ("GET", "/v1/stoa/ingest/jobs/{job}", None, OWN),
    ("PUT", "/v1/stoa/ingest/jobs/{job}/blobs/{digest}", None, OWN),
    ("POST", "/v1/stoa/ingest/jobs/{job}/start", None, OWN),
    ("POST", "/v1/stoa/ingest/jobs/{job}/cancel", None, OWN),
    ("POST", "/v1/stoa/keys/{key}/rotate", {}, TENANT),
    ("POST", "/v1/stoa/keys/{prefix}/rotate", {"overlap_seconds": 0}, TENANT),
    ("DELETE", "/v1/stoa/keys/{key}", None, TENANT),
    ("DELETE", "/v1/stoa/keys/{prefix}", None, TENANT),
    ("DELETE", "/v1/stoa/tokens/{token}", None, OWN),
    ("DELETE", "/v1/stoa/break-glass/{glass}", None, TENANT),
    ("POST", "/v1/stoa/users/{user}/disable", {}, TENANT),
    ("POST", "/v1/stoa/users/{user}/enable", {}, TENANT),
    ("POST", "/v1/stoa/groups/staff/users", {"user": "{user}"}, TENANT),
    ("DELETE", "/v1/stoa/groups/staff/users/{user}", None, TENANT),
]

# Ids that travel in bodies and queries.
IN_BODIES = [
    ("POST", "/v1/vector_stores", {"name": "mine", "file_ids": ["{file}"]}, OWN),
    ("POST", "/v1/vector_stores/{own store}/files", {"file_id": "{file}"}, OWN),
    ("POST", "/v1/vector_stores/{own store}/files", {"file_id": "{document}"}, OWN),
    ("POST", "/v1/vector_stores/{own store}/file_batches", {"file_ids": ["{own file}", "{file}"]}, OWN),
    ("POST", "/v1/batches", {"input_file_id": "{lines}", "endpoint": "/v1/chat/completions", "completion_window": "24h"}, OWN),
    ("POST", "/v1/responses", {"input": "And then?", "previous_response_id": "{response}"}, OWN),
    ("POST", "/v1/responses", {"input": "garden", "metadata": {"stoa.answer": "extractive"}, "tools": [{"type": "file_search", "vector_store_ids": ["{store}"]}]}, PROJECT),
    ("POST", "/v1/responses", {"input": "garden", "metadata": {"stoa.answer": "extractive"},
                               "tools": [{"type": "file_search", "vector_store_ids": ["{own store}", "{store}"]}]}, PROJECT),
    ("POST", "/v1/stoa/search", {"query": "garden", "vector_store_ids": ["{store}"]}, PROJECT),
    ("POST", "/v1/stoa/search", {"query": "garden", "vector_store_ids": ["{own store}", "{store}"], "mode": "text", "explain": True}, PROJECT),
    ("POST", "/v1/stoa/search", {"query": "garden", "vector_store_ids": ["{own store}", "{store}"], "queries": ["roof"], "decay": {"half_life": "1d"}, "context": "section", "explain": True}, PROJECT),
    ("POST", "/v1/stoa/ratings", {"answer_id": "{response}", "score": 1}, OWN),
    ("POST", "/v1/stoa/ingest/jobs", {"collection": "{store}", "source": "s", "access": "public", "files": []}, PROJECT),
    ("GET", "/v1/vector_stores/{own store}/files?after={file}", None, OWN),
    ("GET", "/v1/vector_stores/{own store}/files?after={document}", None, OWN),
    ("GET", "/v1/stoa/usage?project={project}", None, PROJECT),
]

# Listings: nothing of others in them, whatever is asked for.
LISTS = [
    "/v1/batches", "/v1/batches?limit=1", "/v1/batches?after={work}", "/v1/messages/batches", "/v1/messages/batches?after_id={messages}", "/v1/messages/batches?before_id={messages}",
    "/v1/files", "/v1/files?limit=1", "/v1/files?purpose=assistants&order=asc", "/v1/files?after={file}",
    "/v1/vector_stores", "/v1/vector_stores?limit=1", "/v1/vector_stores?after={store}",
    "/v1/stoa/traces", "/v1/stoa/traces?limit=1000&work=true", "/v1/stoa/traces?principal={olga}", "/v1/stoa/traces?before={trace}",
    "/v1/stoa/usage", "/v1/stoa/usage?by=principal", "/v1/stoa/usage?by=project", "/v1/stoa/usage?principal={olga}",
    "/v1/stoa/ratings", "/v1/stoa/ratings?limit=1000&only=good", "/v1/stoa/datasets", "/v1/stoa/keys",
    "/v1/stoa/audit?principal={olga}", "/v1/stoa/audit?trace={trace}", "/v1/stoa/status", "/v1/models",
    "/v1/stoa/whoami", "/v1/stoa/projects", "/v1/stoa/users", "/v1/stoa/groups", "/v1/stoa/tokens", "/v1/stoa/break-glass",
]

# Without ids of a tenant's things; roles and tokens are tried on them as well (test_escalation.py, test_tokens.py).
OTHERS = {
    "GET": ["/v1/models/{model...}", "/v1/stoa/audit", "/v1/stoa/audit/export", "/v1/stoa/audit/check", "/v1/stoa/audit/checkpoint", "/v1/stoa/audit/proof", "/v1/stoa/audit/consistency", "/metrics", "/v1/stoa/routes", "/v1/stoa/protection",
            "/v1/stoa/policies", "/v1/stoa/policies/{name}", "/v1/stoa/policies/{name}/history", "/v1/stoa/policies/{name}/diff", "/v1/stoa/model-routes", "/v1/stoa/model-routes/{name}", "/v1/stoa/model-routes/{name}/history", "/v1/stoa/model-routes/{name}/status", "/v1/stoa/limits", "/v1/stoa/limits/{name}", "/v1/stoa/limits/{name}/history", "/v1/stoa/limit-standings", "/v1/stoa/cache", "/v1/stoa/cache/history", "/v1/stoa/cache/stats", "/v1/stoa/roles", "/v1/stoa/roles/{name}",
            "/v1/stoa/providers", "/v1/stoa/providers/{name}", "/v1/stoa/batches/window",
            "/v2", "/v2/models/{name}", "/v2/models/{name}/ready", "/v2/models/{name}/versions/{version}", "/v2/models/{name}/versions/{version}/ready"],
    "POST": ["/v2/models/{name}/infer", "/v2/models/{name}/generate", "/v2/models/{name}/generate_stream", "/v2/models/{name}/versions/{version}/infer", "/v2/models/{name}/versions/{version}/generate", "/v2/models/{name}/versions/{version}/generate_stream",
             "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens", "/model/{modelId}/converse", "/model/{modelId}/converse-stream", "/model/{modelId}/count-tokens", "/v1/messages/batches", "/v1/uploads", "/v1/moderations", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/v1/files", "/v1/stoa/datasets/from-ratings", "/v1/stoa/keys",
             "/v1/stoa/tokens", "/v1/stoa/break-glass", "/v1/stoa/users", "/v1/stoa/projects", "/v1/stoa/policies/dry-run", "/v1/stoa/policies/{name}/rollback", "/v1/stoa/model-routes/{name}/rollback", "/v1/stoa/cache/rollback", "/v1/stoa/cache/purge", "/v1/stoa/limits/{name}/rollback", "/v1/stoa/access/explain",
             "/v1/stoa/protection/rotate", "/v1/stoa/protection/revoke", "/v1/stoa/protection/restore", "/v1/stoa/protection/keep", "/v1/stoa/providers", "/v1/stoa/providers/{name}/check"],
    "PUT": ["/v1/stoa/models/{model}/adapters/{adapter}", "/v1/stoa/providers/{name}", "/v1/stoa/providers/{name}/credential", "/v1/stoa/batches/window", "/v1/stoa/policies/{name}", "/v1/stoa/model-routes/{name}", "/v1/stoa/limits/{name}", "/v1/stoa/cache"],
    "DELETE": ["/v1/stoa/models/{model}/adapters/{adapter}", "/v1/stoa/providers/{name}", "/v1/stoa/policies/{name}", "/v1/stoa/model-routes/{name}", "/v1/stoa/limits/{name}", "/v1/stoa/cache"],
}

OPEN = {"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics", "/v1/stoa/login"}  # for anybody; /metrics on loopback only


def pattern_of(path, patterns):
    """The pattern that a path of the tables above is an example of: literals win over parameters."""
    segments = path.partition("?")[0].split("/")
    for pattern in sorted(patterns, key=lambda each: [part.startswith("{") for part in each.split("/")]):
        parts = pattern.split("/")
        if len(parts) == len(segments) and all(want.startswith("{") or want == have for want, have in zip(parts, segments)):
            return pattern
    return None


def fill(value, names):
    """`value` with each "{name}" replaced."""
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{([a-z ]+)\}", lambda match: names[match.group(1)], value)
    return value
