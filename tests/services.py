"""Pytest plugin: the environment of the tests, set before Django reads its settings."""

import os

os.environ["ENV_FILE"] = os.devnull
os.environ["DEBUG"] = "True"
