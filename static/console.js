// The live console of a request: continues from the last line on the page, loses nothing, shows how
// it is connected. Order and completeness are the server's; this only keeps its cursor (the last
// data-seq) and asks again from there.
// Without it the page shows the lines as of its loading and has a link to reload.
"use strict";

(() => {
  const FIRST_PAUSE = 500;
  const LONGEST_PAUSE = 20000;
  const FAILURES_BEFORE_POLLING = 3;
  const POLL_EVERY = 5000;
  const SOCKET_AGAIN_WHILE_POLLING = 30000;
  const PING_EVERY = 25000;
  const SILENCE_IS_DEATH = 60000;
  const LONGEST_FETCH = 15000;
  const HIDDEN_BEFORE_PAUSE = 5000;
  const MAX_LINES = 5000;
  const ANNOUNCE_EVERY = 3000;
  const REFUSED = new Set([4400, 4401, 4403, 4404]);
  const OVER = new Set(["rejected", "cancelled", "failed", "closed"]);
  const TELLING = new Set(["started", "ready", "failed", "slow", "undoing", "undone"]);

  class Console {
    constructor(section) {
      this.section = section;
      this.list = section.querySelector(".log");
      this.status = section.querySelector("[data-console-status]");
      this.eventsUrl = section.dataset.eventsUrl;
      this.socketUrl = location.origin.replace(/^http/, "ws") + section.dataset.streamUrl;
      this.seq = Number(this.list.lastElementChild?.dataset.seq ?? 0);
      this.socket = null;
      this.failures = 0;
      this.timers = {};
      this.stopped = false;
      this.paused = false;
      this.finished = false;
      this.following = true;
      this.unseen = 0;
      this.fetching = false;
      this.again = false;
      this.heardAt = 0;
    }

    start() {
      this.status.setAttribute("aria-live", "off");
      this.makeControls();
      this.makeAnnouncer();
      this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
      document.addEventListener("visibilitychange", () => this.visibilityChanged());
      addEventListener("resize", () => { if (this.following) this.toEnd(); });
      addEventListener("pagehide", () => this.pause());
      addEventListener("pageshow", (event) => { if (event.persisted) this.resume(); });
      addEventListener("online", () => { if (!this.socket) this.connect(); });
      this.section.addEventListener("keydown", (event) => this.keyPressed(event));
      if (!location.hash) this.toEnd();
      this.connect();
    }

    // --- the connection --------------------------------------------------------------------------

    connect() {
      if (this.stopped || this.paused || this.socket) return;
      clearTimeout(this.timers.connect);
      let socket;
      try {
        socket = new WebSocket(`${this.socketUrl}?after=${this.seq}`);
      } catch {
        this.failed();
        return;
      }
      this.socket = socket;
      this.heardAt = performance.now();
      socket.addEventListener("message", (message) => {
        if (socket === this.socket) this.heard(JSON.parse(message.data));
      });
      socket.addEventListener("close", (close) => {
        if (socket === this.socket) this.closed(close);
      });
      clearInterval(this.timers.ping);
      this.timers.ping = setInterval(() => this.ping(), PING_EVERY);
      if (this.failures === 0) this.say("Connecting…", "busy");
    }

    disconnect() {
      const socket = this.socket;
      this.socket = null;
      clearInterval(this.timers.ping);
      if (socket) socket.close(1000);
    }

    ping() {
      if (performance.now() - this.heardAt > SILENCE_IS_DEATH) {
        this.disconnect();
        this.failed();
      } else if (this.socket?.readyState === WebSocket.OPEN) {
        this.socket.send('{"type":"ping"}');
      }
    }

    heard(message) {
      this.heardAt = performance.now();
      if (message.type === "hello") {
        this.failures = 0;
        this.stopPolling();
        this.finished = false;
        this.say("Connected", "good");
      } else if (message.type === "event") {
        this.finished = false;
        this.take([message]);
      } else if (message.type === "resync") {
        this.say("Connected, catching up", "busy");
        this.timers.resync = setTimeout(() => {
          if (this.socket) this.say("Connected", "good");
        }, 1000);
      } else if (message.type === "finished") {
        this.finish(message.state, message.title);
      }
    }

    closed(close) {
      this.disconnect();
      if (REFUSED.has(close.code)) {
        this.stop(close.reason || "You no longer have access to this request.");
      } else {
        this.failed();
      }
    }

    failed() {
      this.failures += 1;
      if (this.failures > FAILURES_BEFORE_POLLING) {
        this.startPolling();
        const pause = SOCKET_AGAIN_WHILE_POLLING * (0.8 + 0.4 * Math.random());
        this.timers.connect = setTimeout(() => this.connect(), pause);
        return;
      }
      this.say("Reconnecting…", "warn");
      if (this.failures === 1) this.announce("The connection was lost. Reconnecting.");
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.failures - 1));
      this.timers.connect = setTimeout(() => this.connect(), pause * (0.5 + 0.5 * Math.random()));
    }

    stop(why) {
      this.stopped = true;
      this.disconnect();
      this.stopPolling();
      clearTimeout(this.timers.connect);
      this.say("Disconnected", "bad");
      const note = document.createElement("p");
      note.className = "note bad";
      note.textContent = why;
      this.list.before(note);
      this.announce(`The event log is disconnected. ${why}`);
    }

    finish(state, title) {
      this.finished = true;
      this.state = state;
      if (title) this.announce(`State: ${title}.`);
      this.restWhenOver();
    }

    // Not before what is being fetched is there: it may be the last line.
    restWhenOver() {
      if (this.stopped || this.fetching || !(this.finished && OVER.has(this.state))) return;
      this.stopped = true;
      this.disconnect();
      this.stopPolling();
      clearTimeout(this.timers.connect);
      this.say("Log complete", "");
    }

    visibilityChanged() {
      clearTimeout(this.timers.hidden);
      if (document.hidden) this.timers.hidden = setTimeout(() => this.pause(), HIDDEN_BEFORE_PAUSE);
      else this.resume();
    }

    pause() {
      if (this.paused || this.stopped) return;
      this.paused = true;
      this.disconnect();
      this.stopPolling();
      clearTimeout(this.timers.connect);
      this.say("Paused while this tab is hidden", "");
    }

    resume() {
      if (!this.paused) return;
      this.paused = false;
      this.failures = 0;
      this.connect();
    }

    // --- asking over HTTP: for what is missing, and instead of a socket --------------------------

    startPolling() {
      if (this.timers.poll) return;
      this.say("Polling", "warn");
      const poll = async () => {
        this.timers.poll = setTimeout(poll, POLL_EVERY);
        await this.catchUp();
      };
      this.timers.poll = setTimeout(poll, 0);
    }

    stopPolling() {
      clearTimeout(this.timers.poll);
      this.timers.poll = null;
    }

    async catchUp() {
      if (this.fetching) {
        this.again = true;
        return;
      }
      this.fetching = true;
      let answered = true;
      try {
        do {
          this.again = false;
          let page;
          do {
            page = await this.fetchPage();
            if (page) this.append(page.events);
          } while (page?.more);
          if (page && this.timers.poll) this.polled(page);
        } while (this.again && !this.stopped);
      } catch {
        answered = false;
      }
      this.fetching = false;
      if (answered) this.restWhenOver();
      else this.goOnFromTheLastLine();
    }

    // What the socket brought meanwhile was left to the fetch that failed; a new socket brings it
    // again.
    goOnFromTheLastLine() {
      if (this.timers.poll) {
        this.say("Polling, no response", "warn");
      } else if (this.socket) {
        this.disconnect();
        this.failed();
      }
    }

    async fetchPage() {
      const answer = await fetch(`${this.eventsUrl}?after=${this.seq}&html=true`, {
        headers: { Accept: "application/json" },
        credentials: "same-origin",
        signal: AbortSignal.timeout(LONGEST_FETCH),
      });
      if ([401, 403, 404].includes(answer.status)) {
        const problem = await answer.json().catch(() => ({}));
        const gone = problem.detail ?? "This request is no longer available.";
        this.stop(answer.status === 401 ? "Your session has ended. Sign in again." : gone);
        return null;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    }

    polled(page) {
      if (!page.settled) {
        this.finished = false;
      } else if (!(this.finished && page.state === this.state)) {
        this.finish(page.state, "");
      }
      if (!this.stopped) this.say("Polling", "warn");
    }

    // --- lines -----------------------------------------------------------------------------------

    take(events) {
      const missing = events.some((event) => event.seq > this.seq + 1);
      if (missing || this.fetching) this.catchUp();
      else this.append(events);
    }

    append(events) {
      const fresh = events.filter((event) => event.seq > this.seq);
      if (!fresh.length) return;
      const holder = document.createElement("template");
      holder.innerHTML = fresh.map((event) => event.html).join("");
      for (const line of holder.content.children) {
        line.hidden = !this.matches(line);
        this.knowStep(line.dataset.step);
      }
      this.list.append(holder.content);
      this.seq = fresh[fresh.length - 1].seq;
      while (this.list.children.length > MAX_LINES) this.list.firstElementChild.remove();
      if (this.following) {
        this.toEnd();
      } else {
        this.unseen += fresh.length;
        this.showFollow();
      }
      for (const event of fresh) this.tell(event);
      if (fresh.some((event) => /^(step|run|request|check)\./.test(event.kind))) {
        this.refreshStanding();
      }
    }

    tell(event) {
      const [subject, what] = event.kind.split(".");
      if (subject !== "step" || TELLING.has(what)) this.announce(event.text);
    }

    // The rail and the state beside the console are the page's own fragments; they are asked for
    // together.
    refreshStanding() {
      if (this.timers.standing) return;
      this.timers.standing = setTimeout(() => {
        this.timers.standing = null;
        if (!window.htmx) return;
        const progress = document.getElementById("progress");
        if (progress) window.htmx.trigger(progress, "refresh");
        const standing = document.getElementById("standing");
        const url = standing?.getAttribute("hx-get");
        // One that fails is said by the page itself, and the next event asks again.
        const swap = { source: standing, target: standing, swap: "outerHTML" };
        if (url) window.htmx.ajax("GET", url, swap)?.catch(() => {});
      }, 250);
    }

    // --- what people see and press ---------------------------------------------------------------

    say(words, tone) {
      clearTimeout(this.timers.resync);
      this.status.textContent = words;
      this.status.className = `badge small ${tone}`.trim();
    }

    makeAnnouncer() {
      this.announcer = document.createElement("p");
      this.announcer.className = "visually-hidden";
      this.announcer.setAttribute("role", "status");
      this.section.append(this.announcer);
      this.announcedAt = -ANNOUNCE_EVERY;
    }

    // Only the newest of what comes in a burst is spoken.
    announce(words) {
      clearTimeout(this.timers.announce);
      const wait = Math.max(0, this.announcedAt + ANNOUNCE_EVERY - performance.now());
      this.timers.announce = setTimeout(() => {
        this.announcedAt = performance.now();
        this.announcer.textContent = words;
      }, wait);
    }

    makeControls() {
      const controls = this.section.querySelector("[data-console-controls]");
      this.level = this.makeSelect("Show", [
        ["", "all lines"],
        ["good warning error", "results and warnings"],
        ["warning error", "warnings and errors"],
        ["error", "errors"],
      ]);
      this.step = this.makeSelect("Step", [["", "all steps"]]);
      this.search = document.createElement("input");
      this.search.type = "search";
      this.search.placeholder = "Search lines";
      this.search.setAttribute("aria-label", "Search lines");
      this.search.setAttribute("aria-keyshortcuts", "/");
      this.followButton = document.createElement("button");
      this.followButton.type = "button";
      this.followButton.title = "Scroll to new lines";
      this.followButton.setAttribute("aria-keyshortcuts", "f");
      this.followButton.addEventListener("click", () => this.follow(!this.following));
      for (const control of [this.level, this.step]) {
        control.addEventListener("change", () => this.filter());
      }
      this.search.addEventListener("input", () => this.filter());
      const selects = [this.level.parentElement, " ", this.step.parentElement];
      controls.append(...selects, " ", this.search, " ", this.followButton);
      controls.hidden = false;
      for (const line of this.list.children) this.knowStep(line.dataset.step);
      this.showFollow();
    }

    makeSelect(name, choices) {
      const label = document.createElement("label");
      const select = document.createElement("select");
      for (const [value, text] of choices) select.add(new Option(text, value));
      label.append(`${name} `, select);
      return select;
    }

    knowStep(step) {
      if (step && ![...this.step.options].some((option) => option.value === step)) {
        this.step.add(new Option(step.replaceAll("-", " "), step));
      }
    }

    matches(line) {
      const levels = this.level.value;
      const words = this.search.value.trim().toLowerCase();
      return (!levels || levels.split(" ").includes(line.dataset.level))
        && (!this.step.value || line.dataset.step === this.step.value)
        && (!words || line.textContent.toLowerCase().includes(words));
    }

    filter() {
      for (const line of this.list.children) line.hidden = !this.matches(line);
      if (this.following) this.toEnd();
    }

    scrolled() {
      const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 24;
      if (atEnd !== this.following) this.follow(atEnd, false);
    }

    follow(on, jump = true) {
      this.following = on;
      if (on) {
        this.unseen = 0;
        if (jump) this.toEnd();
      }
      this.showFollow();
    }

    showFollow() {
      const lines = this.unseen === 1 ? "1 new line" : `${this.unseen} new lines`;
      const follow = this.unseen ? `Follow (${lines})` : "Follow";
      this.followButton.textContent = this.following ? "Following" : follow;
      this.followButton.setAttribute("aria-pressed", String(this.following));
    }

    toEnd() {
      this.list.scrollTop = this.list.scrollHeight;
    }

    // Only while the focus is in the console: a single letter must do nothing to those who speak to
    // the rest of the page.
    keyPressed(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, select, textarea, [contenteditable]")) return;
      if (event.key === "f") {
        this.follow(!this.following);
      } else if (event.key === "/") {
        event.preventDefault();
        this.search.focus();
      }
    }
  }

  const section = document.getElementById("console");
  if (section) new Console(section).start();
})();
