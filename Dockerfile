# The application alone: PostgreSQL and Redis are other containers, see compose.yaml.
FROM python:3.13-slim

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=8000 \
    config_env=production

RUN groupadd --system --gid 10001 atom \
    && useradd --system --uid 10001 --gid atom --no-create-home --home-dir /srv/atom \
        --shell /usr/sbin/nologin atom

WORKDIR /srv/atom

# The packages change seldom, the code often: one layer each.
COPY requirements.lock requirements-app.tx[t] ./
RUN pip install --require-hashes -r requirements.lock \
    && if [ -f requirements-app.txt ]; then pip install -r requirements-app.txt; fi

# The code belongs to root, and the application cannot change it. What it may write,
# when it is run with config_env=development, is .atom alone.
COPY . .
RUN install -d -o atom -g atom -m 0700 .atom

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/', timeout=2)"]

# Exec form: python is process 1 and hears SIGTERM itself.
CMD ["python", "main.py"]
