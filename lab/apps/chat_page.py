"""The chat app's page: one self-contained HTML document to talk through the edge from a browser.

It decides what a person sees; the WebSocket address is made from the page's own host, so that the
page works behind any distribution. It must never load anything from elsewhere.
"""

from __future__ import annotations

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Chat behind the edge</title>
<style>
:root { --line: #8886; --quiet: light-dark(#555, #bbb); --good: light-dark(#17653a, #7fd8a4);
  --bad: light-dark(#a11, #ff9c9c); }
* { box-sizing: border-box }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 46rem; padding: 1rem;
  background: light-dark(#fff, #16181c); color: light-dark(#1a1a1a, #eee) }
h1 { font-size: 1.4rem; margin: 0 0 .25rem }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .75rem 0 }
label { display: block; font-size: .875rem; color: var(--quiet) }
.grow { flex: 1 1 14rem }
input[type=text] { width: 100%; font: inherit; padding: .5rem; border: 1px solid var(--line); border-radius: .375rem;
  background: transparent; color: inherit }
button { font: inherit; padding: .5rem 1rem; border: 1px solid var(--line); border-radius: .375rem; cursor: pointer;
  background: light-dark(#f1f3f6, #2a2e35); color: inherit }
button:disabled { opacity: .5; cursor: default }
:focus-visible { outline: 3px solid light-dark(#1b5fd1, #8ab4ff); outline-offset: 1px }
#status { min-height: 1.5rem } #status.open { color: var(--good) } #status.closed { color: var(--bad) }
#log { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: .375rem; height: 22rem;
  overflow-y: auto }
#log li { padding: .25rem .75rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
#log time, #log b { color: var(--quiet); font-weight: normal; margin-right: .5rem; font-variant-numeric: tabular-nums }
</style>
</head>
<body>
<main>
<h1>Chat behind the edge</h1>
<p>Messages go through CloudFront's edge to the chat server and back. Open this page twice and talk to yourself.</p>
<form id="connect">
  <div class="grow"><label for="path">WebSocket path on this host</label>
    <input type="text" id="path" value="/ws/chat" required pattern="/.*" autocomplete="off" spellcheck="false"></div>
  <div><label><input type="checkbox" id="heartbeat"> Server sends a ping every 2 s</label></div>
  <button id="toggle">Connect</button>
</form>
<p id="status" role="status">Not connected.</p>
<ol id="log" role="log" aria-label="Messages" tabindex="0"></ol>
<form id="say">
  <div class="grow"><label for="message">Message</label>
    <input type="text" id="message" autocomplete="off" maxlength="4000" disabled></div>
  <button id="send" disabled>Send</button>
</form>
</main>
<script>
"use strict";
const $ = id => document.getElementById(id);
let socket = null;

function line(kind, text) {
  const item = document.createElement("li"), time = document.createElement("time"), label = document.createElement("b");
  time.textContent = new Date().toLocaleTimeString();
  label.textContent = kind;
  item.append(time, label, text);
  const follow = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 40;
  $("log").append(item);
  if (follow) $("log").scrollTop = $("log").scrollHeight;
}

function show(state, text) {
  $("status").className = state;
  $("status").textContent = text;
  const open = state === "open";
  $("message").disabled = $("send").disabled = !open;
  $("toggle").textContent = socket ? "Disconnect" : "Connect";
  if (open) $("message").focus();
}

$("connect").addEventListener("submit", event => {
  event.preventDefault();
  if (socket) { socket.close(1000, "bye"); return; }
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const address = new URL($("path").value, `${scheme}//${location.host}`);
  if ($("heartbeat").checked) address.searchParams.set("heartbeat", "2");
  socket = new WebSocket(address);
  const mine = socket;
  show("", `Connecting to ${mine.url} …`);
  mine.addEventListener("message", event => {
    const data = JSON.parse(event.data);
    if (data.type === "welcome") {
      show("open", `Connected as ${data.id}. People here: ${data.clientCount}.`);
      line("welcome", `clientCount ${data.clientCount}`);
    } else line(data.type, `${data.from.slice(0, 8)}: ${data.message}`);
  });
  mine.addEventListener("close", event => {
    socket = null;
    const why = event.code === 1006 ? "cut without a close frame, as idle limits do" : event.reason || "no reason";
    show("closed", `Closed with code ${event.code} (${why}).`);
    line("closed", `code ${event.code}`);
  });
});

$("say").addEventListener("submit", event => {
  event.preventDefault();
  if (!socket || !$("message").value) return;
  socket.send($("message").value);
  $("message").value = "";
});
</script>
</body>
</html>
"""
