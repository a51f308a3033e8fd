"""App B: finds the owner of a token."""
import os
import sqlite3

from flask import Flask, request

app = Flask(__name__)


def connect():
    return sqlite3.connect(os.environ["PEER_DATABASE"])


with connect() as db:
    db.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, username TEXT, password TEXT, token TEXT)")
    db.execute("INSERT OR IGNORE INTO users VALUES (1, 'density', 'density', 'mytoken')")


@app.route("/auth", methods=["POST"])
def auth():
    db = connect()
    try:
        user = db.execute("SELECT username FROM users WHERE token = ?", (request.form.get("token"),)).fetchone()
    finally:
        db.close()
    return user[0] if user else "fail"
