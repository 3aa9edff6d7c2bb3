// Chromium before the demo: what pages of other sites and of apps can reach, and what an app keeps.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { port } = new URL(process.env.KUBEGATE_GUARDED_URL);
const api = `http://localhost:${port}`;
const notes = `http://notes.default.svc.localhost:${port}`;
const hostile = `http://hostile.default.svc.localhost:${port}`;
const secret = "/api/v1/namespaces/default/secrets/database";
const limit = 15_000;

// What a hostile page does, wherever it is. Each attempt gives what it got, or how it failed.
const attempts = {
  async fetch(url) {
    const response = await fetch(url, { credentials: "include" });
    return `${response.status} ${await response.text()}`;
  },
  async opaque(url) {
    const response = await fetch(url, { mode: "no-cors", credentials: "include" });
    return (await response.text()) ? "a body" : "";
  },
  async post(url) {
    const body = JSON.stringify({ metadata: { name: "planted" } });
    await fetch(url, { method: "POST", mode: "no-cors", credentials: "include", body });
    return "";
  },
  socket(url) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url.replace("http", "ws"));
      socket.onopen = () => resolve("open");
      socket.onerror = () => reject(new Error("refused"));
    });
  },
  frame(url) {
    return new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.onload = () => resolve(frame.contentDocument?.body?.innerText ?? "");
      frame.src = url;
      document.body.append(frame);
    });
  },
  script(url) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.onload = () => resolve("run");
      script.onerror = () => reject(new Error("refused"));
      script.src = url;
      document.body.append(script);
    });
  },
  form(url) {
    return new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.name = `form${Math.random()}`;
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, { method: "post", action: url, target: frame.name, enctype: "text/plain" });
      document.body.append(form);
      frame.onload = () => resolve(frame.contentDocument?.body?.innerText ?? "");
      form.submit();
    });
  },
};

async function attempt(page, name, url) {
  const script = `(${attempts[name].toString().replace(/^(async )?\w+\(/, "$1function (")})(${JSON.stringify(url)})`;
  return page.evaluate(script).catch((error) => `failed: ${error.message.split("\n")[0]}`);
}

let browser, site, foreign;

before(async () => {
  site = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><title>another site</title><a href="${api}${secret}?x=<b>">the docs</a>`);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  foreign = `http://127.0.0.1:${site.address().port}/`;
  const create = async (plural, object) => {
    const response = await fetch(`${process.env.KUBEGATE_GUARDED_URL}/api/v1/namespaces/default/${plural}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(object),
    });
    assert.equal(response.status, 201, await response.text());
  };
  for (const name of ["notes", "hostile"]) {
    await create("services", { metadata: { name }, spec: { ports: [{ port: 80 }] } });
  }
  const page = "<!doctype html><title>hostile</title><h1>hostile</h1>";
  await create("configmaps", { metadata: { name: "hostile" }, data: { "index.html": page, "sw.js": "" } });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
});

after(async () => {
  await browser?.close();
  site?.close();
});

/** A browser without a past, whose responses from kubegate are noted. */
async function visitor(context) {
  const seen = [];
  const fresh = await browser.newContext();
  context.after(() => fresh.close());
  fresh.setDefaultTimeout(limit);
  fresh.on("response", (response) => {
    if (!response.url().startsWith(hostile)) {
      seen.push(`${response.request().method()} ${response.url()} ${response.status()}`);
    }
  });
  return { context: fresh, page: await fresh.newPage(), seen };
}

async function shoot(page, name) {
  const folder = process.env.KUBEGATE_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}

async function logIn(page) {
  await page.goto(`${notes}/`);
  await page.getByLabel("User").fill("alice");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Welcome alice").waitFor();
}

test("an app keeps its login, its redirects and its WebSocket at its own origin", async (t) => {
  const { context, page } = await visitor(t);
  await logIn(page);
  assert.equal(page.url(), `${notes}/private`);
  await shoot(page, "app");
  const [cookie, ...others] = await context.cookies();
  assert.deepEqual(others, []);
  assert.equal(cookie.domain, "notes.default.svc.localhost");
  assert.equal(cookie.path, "/");
  await page.reload();
  await page.getByText("Welcome alice").waitFor();
  // A link that the API server has written.
  await page.goto(`${notes}/`);
  await page.getByRole("link", { name: "Private" }).click();
  await page.getByText("Welcome alice").waitFor();
  assert.equal(new URL(page.url()).origin, notes);
  const echoed = await page.evaluate(() => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/socket`);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error("refused"));
  }));
  assert.equal(echoed, "alice: hello");
  // Other apps get nothing of it.
  await page.goto(`${hostile}/cookies`);
  assert.equal(await page.locator("body").innerText(), "");
});

test("a link to an app at the API leads to the app's origin", async (t) => {
  const { page } = await visitor(t);
  await logIn(page);
  await page.goto(`${api}/api/v1/namespaces/default/services/notes/proxy/private?x=1`);
  await page.getByText("Welcome alice").waitFor();
  assert.equal(page.url(), `${notes}/private?x=1`);
});

for (const [where, other] of [["an app", () => `${hostile}/`], ["another site", () => foreign]]) {
  test(`a page of ${where} reaches neither the API nor another app`, async (t) => {
    const { context, page, seen } = await visitor(t);
    await logIn(page);
    await page.goto(other());
    seen.length = 0;
    const got = [];
    for (const target of [`${api}${secret}`, `${api}/api/v1/namespaces/default/services/notes/proxy/private`, `${notes}/private`]) {
      for (const name of Object.keys(attempts)) {
        got.push([name, target, await attempt(page, name, target)]);
      }
    }
    got.push(["post", "", await attempt(page, "post", `${api}/api/v1/namespaces/default/configmaps`)]);
    got.push(["form", "", await attempt(page, "form", `${notes}/logout`)]);
    for (const [name, target, result] of got) {
      assert.match(result, /^$|^failed: /, `${name} ${target}`);
    }
    assert.ok(seen.length > 10, seen.join("\n"));
    assert.deepEqual(seen.filter((line) => !line.endsWith(" 403")), []);
    // Neither did a form end the session, nor a POST create an object.
    await page.goto(`${notes}/private`);
    await page.getByText("Welcome alice").waitFor();
    const planted = await fetch(`${process.env.KUBEGATE_GUARDED_URL}/api/v1/namespaces/default/configmaps/planted`);
    assert.equal(planted.status, 404);
    assert.equal(context.serviceWorkers().length, 0);
  });

  test(`a page of ${where} gets nothing of a window that it opens`, async (t) => {
    const { context, page } = await visitor(t);
    await logIn(page);
    await page.goto(other());
    for (const target of [`${api}${secret}`, `${notes}/private`]) {
      const opened = context.waitForEvent("page");
      await page.evaluate((url) => { globalThis.opened = globalThis.open(url); }, target);
      const window = await opened;
      await window.waitForLoadState();
      const text = await window.locator("body").innerText();
      assert.doesNotMatch(text, /password/);
      const read = await page.evaluate(() => {
        try {
          return globalThis.opened.closed ? "cut off" : globalThis.opened.document.body.innerText;
        } catch (error) {
          return error.name;
        }
      });
      assert.match(read, /^(cut off|SecurityError)$/, target);
      if (target.startsWith(api)) {
        assert.match(text, /Another site opens this address/);
        assert.equal(read, "cut off");
        assert.equal(await window.evaluate(() => globalThis.opener), null);
      }
      await window.close();
    }
  });
}

test("the same attempts succeed from the pages of their own origin", async (t) => {
  const { page } = await visitor(t);
  await logIn(page);
  for (const [name, path, expected] of [
    ["fetch", "/private", /Welcome alice/],
    ["frame", "/private", /Welcome alice/],
    ["socket", "/socket", /open/],
  ]) {
    assert.match(await attempt(page, name, notes + path), expected, name);
  }
  await page.goto(`${api}/version`);
  assert.match(await attempt(page, "fetch", `${api}${secret}`), /^200 .*"Secret"/s);
});

test("no app installs a service worker at an origin without its context", async (t) => {
  const { context, page } = await visitor(t);
  await page.goto(`${hostile}/`);
  for (const script of ["/sw.js", `${api}/sw.js`]) {
    const outcome = await page.evaluate(
      (url) => navigator.serviceWorker.register(url).then(() => "installed", (error) => error.name), script,
    );
    assert.notEqual(outcome, "installed", script);
  }
  assert.equal(context.serviceWorkers().length, 0);
});

test("a link of another site leads to a page, and from there on", async (t) => {
  const { page, seen } = await visitor(t);
  await page.goto(foreign);
  await page.getByRole("link", { name: "the docs" }).click();
  await page.getByText("Another site opens this address").waitFor();
  assert.match(await page.locator("code").innerText(), /secrets\/database\?x=<b>$/);
  assert.deepEqual(seen.slice(-1).map((line) => line.slice(-4)), [" 403"]);
  const link = page.getByRole("link", { name: "Go on" });
  // Not for a click that was meant for the page before.
  assert.equal(await link.isVisible(), false);
  await link.waitFor();
  await shoot(page, "interstitial");
  await link.click();
  await page.getByText("\"Secret\"").waitFor();
  assert.equal(new URL(page.url()).pathname, secret);
});

test("the page before a link cannot be framed", async (t) => {
  const { page, seen } = await visitor(t);
  await page.goto(foreign);
  assert.equal(await attempt(page, "frame", `${api}${secret}`), "");
  assert.match(seen.at(-1), / 403$/);
  const text = await page.frames().at(-1).locator("body").innerText().catch(() => "");
  assert.doesNotMatch(text, /Another site/);
});

/** A demo that requires a token: its port, and what `kubegate open` prints. */
async function guardedByToken(context) {
  const folder = mkdtempSync(join(tmpdir(), "kubegate-browser-"));
  const tokens = join(folder, "tokens");
  writeFileSync(tokens, "alice a-token-for-the-browser\n", { mode: 0o600 });
  const kubegate = process.env.KUBEGATE;
  const running = spawn(kubegate, ["demo", "--port=0", "--require-token-file", tokens], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((resolve) => running.once("exit", resolve));
  context.after(async () => {
    running.kill();
    await ended;
    rmSync(folder, { recursive: true });
  });
  const lines = createInterface({ input: running.stdout });
  const [, port] = (await new Promise((resolve) => lines.once("line", resolve))).match(/:(\d+)$/);
  const open = (...target) => execFileSync(
    kubegate, ["open", ...target, "--print", "--port", port, "--token-file", tokens],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  ).trim();
  return { port, open };
}

test("where tokens are required, kubegate open lets a browser in, at apps too", async (t) => {
  const { port, open } = await guardedByToken(t);
  const app = `http://web.default.svc.localhost:${port}`;
  const { page } = await visitor(t);
  await page.goto(`${app}/`);
  await page.getByText("kubegate open").waitFor();
  await page.goto(open("svc/web"));
  await page.getByRole("heading", { name: "web" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "web" }).waitFor();
  assert.equal(page.url(), `${app}/`);
  // A link of another site comes without the cookie, and goes on with it.
  const link = `<a href="${app}/cookies">an app</a>`;
  await page.goto(foreign);
  await page.evaluate((html) => { document.body.innerHTML = html; }, link);
  await page.getByRole("link", { name: "an app" }).click();
  await page.getByRole("link", { name: "Go on" }).click();
  await page.waitForURL(`${app}/cookies`);
  assert.equal(await page.locator("body").innerText(), "");
});

test("from the API a browser comes with its cookie to an app that it has not opened", async (t) => {
  const { port, open } = await guardedByToken(t);
  const { page } = await visitor(t);
  await page.goto(open("/version"));
  await page.getByText("gitVersion").waitFor();
  // The host of `kubegate open`.
  const own = new URL(page.url()).origin;
  const path = "/api/v1/namespaces/default/services/web/proxy/";
  const link = `<a href="${own}${path}">an app</a>`;
  await page.goto(foreign.replace("127.0.0.1", "localhost"));
  await page.evaluate((html) => { document.body.innerHTML = html; }, link);
  await page.getByRole("link", { name: "an app" }).click();
  await page.getByRole("link", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "web" }).waitFor();
  assert.equal(page.url(), `http://web.default.svc.localhost:${port}/`);
});
