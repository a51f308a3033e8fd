"""App A: returns the jobs to callers whose token app B knows."""
import os

import requests
from flask import Flask, request

app = Flask(__name__)


@app.route("/hello")
def hello():
    return "Hello there"


@app.route("/jobs", methods=["POST"])
def jobs():
    answer = requests.post(os.environ["PEER_AUTH"] + "/auth", data={"token": request.headers["Authorization"]})
    if answer.text == "fail":
        return "fail"
    return "Jobs:\nTitle: Devops\nDescription: Awesome\n"
