"""Tenants, projects and users beside the first ones."""
import hashlib
import hmac
import secrets
import sqlite3
import time


def make_tenant(world, name):
    home = world.server.home
    secret = bytes.fromhex((home / "secrets" / "api-keys").read_text().strip())
    db = sqlite3.connect(home / "stoa.db", timeout=30)
    now = int(time.time() * 1e6)

    def ident(kind):
        return kind + "_" + "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(26))

    def key(project, user, role):
        uid = ident("user")
        tenant = db.execute("SELECT tenant FROM projects WHERE id = ?", (project,)).fetchone()[0]
        db.execute("INSERT INTO users (id, tenant, name, created) VALUES (?, ?, ?, ?)", (uid, tenant, user, now))
        prefix = secrets.token_hex(8)
        text = f"sk-stoa-{prefix}-{secrets.token_hex(32)}"
        db.execute("INSERT INTO api_keys (id, prefix, hash, project, user_id, label, role, created) VALUES (?, ?, ?, ?, ?, '', ?, ?)",
                   (ident("key"), prefix, hmac.new(secret, text.encode(), hashlib.sha256).digest(), project, uid, role, now))
        return text

    tenant, project, second = ident("tenant"), ident("proj"), ident("proj")
    db.execute("INSERT INTO tenants VALUES (?, ?, ?)", (tenant, name, now))
    db.execute("INSERT INTO projects VALUES (?, ?, 'default', ?)", (project, tenant, now))
    home_tenant = db.execute("SELECT id FROM tenants WHERE name = 'default'").fetchone()[0]
    db.execute("INSERT INTO projects VALUES (?, ?, 'second', ?)", (second, home_tenant, now))
    keys = {"boris": key(project, "boris", "admin"), "dora": key(project, "dora", "developer"), "nora": key(second, "nora", "developer")}
    db.commit()
    for caller, text in keys.items():
        world.add_caller(caller, text)
