FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements/base.txt requirements/base.txt
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/base.txt
COPY . .
# The keys are made up for this one step, which demands them but does not use them.
RUN /venv/bin/pybabel --quiet compile --domain django --directory locale \
 && SECRET_KEY=only-for-this-step \
    WEBHOOK_SECRET_KEYS="$(/venv/bin/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
    STATIC_ROOT=/app/static-collected \
    /venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
 && /venv/bin/python -m compileall -q accounts webhooks winkhooks \
 && rm -rf var

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app winkhooks \
 && install --directory --owner winkhooks /app/var
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/static-collected
WORKDIR /app
# By number, so that orchestrators can see that it is not root.
USER 10001
EXPOSE 8000
# The file system may be read-only but for /app/var and /tmp. TLS ends in front of it: FORWARDED_ALLOW_IPS names the
# addresses whose X-Forwarded-Proto is believed.
CMD ["gunicorn", "winkhooks.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--preload", \
     "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
