# An application with its Chroma server and the agent in one container. Copy it to the application's directory as
# Dockerfile, and app-entrypoint.sh beside it. `sync-agent` is among the dependencies in its package.json, and
# `server.mjs` starts Chroma. trixie, because the Chroma server that comes with npm needs a glibc of 2.38 or newer.
FROM node:22-trixie-slim
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force
COPY . .
# Mount a disk at /data, not at /data/chroma: the agent keeps its own files beside the store.
RUN mkdir /data && chown node:node /data
ENV NODE_ENV=production SYNC_AGENT_STORE=/data/chroma
ENTRYPOINT ["/app/app-entrypoint.sh"]
CMD ["node", "server.mjs"]
