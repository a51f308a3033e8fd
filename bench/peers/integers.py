"""The integer service: one counter for all users, read and then written in two steps."""
import datetime
import os
import sqlite3

import bcrypt
import jwt
from flask import Flask, jsonify, request

app = Flask(__name__)
SECRET = "a secret of thirty-two characters"


def connect():
    return sqlite3.connect(os.environ["PEER_DATABASE"], timeout=30)


with connect() as db:
    db.execute("CREATE TABLE IF NOT EXISTS users (email TEXT PRIMARY KEY, password BLOB)")
    db.execute("CREATE TABLE IF NOT EXISTS incremental_counter (id INTEGER PRIMARY KEY, value INTEGER)")
    db.execute("INSERT OR IGNORE INTO incremental_counter VALUES (1, 1)")


@app.route("/v1/register", methods=["POST"])
def register():
    body = request.get_json()
    db = connect()
    try:
        if db.execute("SELECT 1 FROM users WHERE email = ?", (body["email"],)).fetchone():
            return jsonify(status="error"), 400
        db.execute("INSERT INTO users VALUES (?, ?)", (body["email"], bcrypt.hashpw(body["password"].encode(), bcrypt.gensalt())))
        db.commit()
    finally:
        db.close()
    expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=600)
    token = jwt.encode({"email": body["email"], "exp": expiry}, SECRET, algorithm="HS256")
    return jsonify({"status": "ok", "data": body["email"], "token expiry": "600 minutes", "token": token}), 201


@app.route("/v1/next")
def take_next():
    try:
        jwt.decode(request.args.get("token", ""), SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return jsonify(status="error"), 403
    db = connect()
    try:
        former = db.execute("SELECT value FROM incremental_counter WHERE id = 1").fetchone()[0]
        db.execute("UPDATE incremental_counter SET value = ? WHERE id = 1", (former + 1,))
        db.commit()
    finally:
        db.close()
    return jsonify({"Former Integer": former, "Next Integer": former + 1})
