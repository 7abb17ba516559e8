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
  const MAX_LINES = 20000; // known, in memory
  const WINDOW = 500; // rendered
  const LARGEST_WINDOW = 1500;
  const EARLIER_AT_A_TIME = 1000;
  const ANNOUNCE_EVERY = 3000;
  const REFUSED = new Set([4400, 4401, 4403, 4404]);
  const OVER = new Set(["rejected", "cancelled", "failed", "closed"]);
  const TELLING = new Set(["started", "ready", "failed", "slow", "undoing", "undone"]);

  const searchable = (text) => text.trim().replace(/\s+/g, " ").toLowerCase();

  class Console {
    constructor(section) {
      this.section = section;
      this.list = section.querySelector(".log");
      this.status = section.querySelector("[data-console-status]");
      this.eventsUrl = section.dataset.eventsUrl;
      this.socketUrl = location.origin.replace(/^http/, "ws") + section.dataset.streamUrl;
      this.seq = Number(this.list.lastElementChild?.dataset.seq ?? 0);
      this.lines = [];
      this.visible = [];
      this.shownFrom = 0;
      this.shownTo = 0;
      this.words = "";
      this.matches = [];
      this.match = null;
      this.linked = null;
      this.steps = new Set();
      this.loading = null;
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
      this.lines = [...this.list.children].map((node) => this.lineOf(node));
      this.visible = [...this.lines];
      this.shownTo = this.visible.length;
      this.showEdges();
      this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
      document.addEventListener("visibilitychange", () => this.visibilityChanged());
      addEventListener("resize", () => { if (this.following) this.toEnd(); });
      addEventListener("pagehide", () => this.pause());
      addEventListener("pageshow", (event) => { if (event.persisted) this.resume(); });
      addEventListener("online", () => { if (!this.socket) this.connect(); });
      this.section.addEventListener("keydown", (event) => this.keyPressed(event));
      addEventListener("hashchange", () => this.openLink());
      this.toEnd();
      this.openLink();
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
        this.say("Live updates on", "good");
      } else if (message.type === "event") {
        this.finished = false;
        this.take([message]);
      } else if (message.type === "resync") {
        this.say("Catching up", "busy");
        this.timers.resync = setTimeout(() => {
          if (this.socket) this.say("Live updates on", "good");
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

    fetchPage() {
      return this.fetchEvents(`after=${this.seq}`);
    }

    async fetchEvents(query) {
      const answer = await fetch(`${this.eventsUrl}?${query}&html=true`, {
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

    // All known lines are in `lines`, without a gap; those that the filters let through are in
    // `visible`; the list holds only visible[shownFrom] to visible[shownTo - 1], however long the log
    // is.

    get first() {
      return this.lines[0]?.seq ?? 1;
    }

    lineOf(node) {
      const { seq, level, step } = node.dataset;
      this.knowStep(step);
      return { node, seq: Number(seq), level, step, text: searchable(node.textContent) };
    }

    linesOf(events) {
      const holder = document.createElement("template");
      holder.innerHTML = events.map((event) => event.html).join("");
      return [...holder.content.children].map((node) => this.lineOf(node));
    }

    take(events) {
      const missing = events.some((event) => event.seq > this.seq + 1);
      if (missing || this.fetching) this.catchUp();
      else this.append(events);
    }

    append(events) {
      const fresh = events.filter((event) => event.seq > this.seq);
      if (!fresh.length) return;
      this.seq = fresh[fresh.length - 1].seq;
      this.addLater(this.linesOf(fresh));
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

    addLater(lines) {
      const atEnd = this.shownTo === this.visible.length;
      const passing = lines.filter((line) => this.passes(line));
      this.lines.push(...lines);
      this.visible.push(...passing);
      const size = this.shownTo - this.shownFrom + passing.length;
      if (this.following && this.lines.length > MAX_LINES) {
        this.lines = this.lines.slice(-MAX_LINES);
        this.visible = this.lines.filter((line) => this.passes(line));
        this.showNewest();
      } else if (this.following && size > LARGEST_WINDOW) {
        this.showNewest();
      } else if (atEnd && size <= LARGEST_WINDOW) {
        this.list.append(...passing.map((line) => line.node));
        this.shownTo = this.visible.length;
      }
      if (this.words) this.findAgain();
      this.showEdges();
    }

    // Resolves to whether there were any. One request at a time.
    addEarlier() {
      this.loading ??= this.loadEarlier().finally(() => { this.loading = null; });
      return this.loading;
    }

    async loadEarlier() {
      const before = this.first;
      if (before <= 1) return false;
      const after = Math.max(0, before - 1 - EARLIER_AT_A_TIME);
      const page = await this.fetchEvents(`after=${after}&limit=${before - 1 - after}`);
      if (!page || this.first !== before) return false;
      const lines = this.linesOf(page.events);
      const passing = lines.filter((line) => this.passes(line));
      this.lines.unshift(...lines);
      this.visible.unshift(...passing);
      this.shownFrom += passing.length;
      this.shownTo += passing.length;
      this.showEdges();
      return lines.length > 0;
    }

    async showEarlier() {
      const oldest = this.visible[this.shownFrom];
      while (this.shownFrom === 0 && await this.addEarlier());
      const start = Math.max(0, this.shownFrom - WINDOW);
      this.follow(false);
      this.show(start, Math.min(this.shownTo, start + LARGEST_WINDOW));
      if (oldest) this.reveal(oldest);
    }

    showLater() {
      const end = Math.min(this.visible.length, this.shownTo + WINDOW);
      this.keepPlace(() => this.show(Math.max(this.shownFrom, end - LARGEST_WINDOW), end));
    }

    showNewest() {
      this.show(Math.max(0, this.visible.length - WINDOW), this.visible.length);
    }

    show(start, end) {
      this.shownFrom = start;
      this.shownTo = end;
      this.list.replaceChildren(...this.visible.slice(start, end).map((line) => line.node));
      this.mark();
      this.showEdges();
    }

    // The reader goes on seeing the same lines: one that stays is held where it is.
    keepPlace(change) {
      const top = this.list.getBoundingClientRect().top;
      const kept = [...this.list.children].find(
        (node) => node.getBoundingClientRect().bottom > top,
      );
      const was = kept?.getBoundingClientRect().top;
      change();
      if (kept?.isConnected) this.list.scrollTop += kept.getBoundingClientRect().top - was;
    }

    reveal(line) {
      const at = this.visible.indexOf(line);
      if (at < this.shownFrom || at >= this.shownTo) {
        const start = Math.max(0, at - WINDOW / 2);
        this.show(start, Math.min(this.visible.length, start + WINDOW));
      }
      const box = this.list.getBoundingClientRect();
      const middle = (box.height - line.node.offsetHeight) / 2;
      this.list.scrollTop += line.node.getBoundingClientRect().top - box.top - middle;
    }

    showEdges() {
      const more = this.shownFrom > 0 || this.first > 1;
      this.earlierLink.hidden = !more;
      this.earlierLink.querySelector("a").search = `?before=${this.first}`;
      this.laterButton.hidden = this.shownTo === this.visible.length;
    }

    // A link to a line, #L17, shows it wherever it is.
    async openLink() {
      const seq = Number(location.hash.match(/^#L(\d{1,15})$/)?.[1] ?? 0);
      if (!seq || seq > this.seq) return;
      this.follow(false);
      try {
        while (seq < this.first && await this.addEarlier());
      } catch {
        this.announce("The line could not be loaded.");
      }
      const line = this.lines[seq - this.first];
      if (!line) return;
      if (!this.passes(line)) {
        this.level.value = "";
        this.step.value = "";
        this.filter();
      }
      this.linked?.node.classList.remove("linked");
      this.linked = line;
      line.node.classList.add("linked");
      this.reveal(line);
    }

    // --- searching -------------------------------------------------------------------------------

    // Shows the newest match; then also looks through the lines that are not loaded yet.
    find() {
      const began = !this.words;
      this.words = searchable(this.search.value);
      if (began) this.followedBefore = this.following;
      this.match = null;
      this.findAgain();
      if (this.words) {
        this.follow(false);
        this.goTo(this.matches.length - 1);
        if (this.searchesMore) this.findEarlier(this.words);
      } else if (this.followedBefore) {
        this.follow(true);
      }
    }

    get searchesMore() {
      return this.first > 1 && this.lines.length < MAX_LINES;
    }

    async findEarlier(words) {
      try {
        while (this.words === words && this.searchesMore && await this.addEarlier());
      } catch {
        this.announce("Earlier lines could not be searched.");
      }
      if (this.words !== words) return;
      this.findAgain();
      if (!this.match) this.goTo(this.matches.length - 1);
    }

    findAgain() {
      const { words } = this;
      this.matches = words ? this.visible.filter((line) => line.text.includes(words)) : [];
      if (!this.matches.includes(this.match)) this.match = null;
      this.mark();
      this.showCount();
    }

    goTo(place) {
      const { length } = this.matches;
      if (length) {
        this.match = this.matches[(place + length) % length];
        this.reveal(this.match);
        this.mark();
      }
      this.showCount();
    }

    nextMatch(by) {
      const place = this.matches.indexOf(this.match);
      this.goTo(place < 0 ? this.matches.length - 1 : place + by);
    }

    mark() {
      const matches = new Set(this.matches);
      for (const line of this.visible.slice(this.shownFrom, this.shownTo)) {
        line.node.classList.toggle("match", matches.has(line));
        line.node.classList.toggle("current", line === this.match);
      }
    }

    showCount() {
      const found = this.matches.length;
      const place = this.matches.indexOf(this.match) + 1;
      const count = found ? `${place} of ${found}` : "No matches";
      const since = this.first > 1 ? ` since line ${this.first}` : "";
      const where = this.searchesMore ? ", loading earlier lines…" : since;
      this.count.textContent = this.words ? count + where : "";
      for (const button of [this.previous, this.next]) {
        button.hidden = !this.words;
        button.disabled = !found;
      }
    }

    // --- news ------------------------------------------------------------------------------------

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
      this.search.addEventListener("input", () => this.find());
      this.search.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        this.nextMatch(event.shiftKey ? -1 : 1);
      });
      this.count = document.createElement("span");
      this.count.className = "small muted";
      this.count.setAttribute("role", "status");
      this.previous = this.makeButton("↑", "Previous match", () => this.nextMatch(-1));
      this.next = this.makeButton("↓", "Next match", () => this.nextMatch(1));
      const selects = [this.level.parentElement, " ", this.step.parentElement];
      const matches = [this.count, " ", this.previous, " ", this.next];
      controls.append(...selects, " ", this.search, " ", ...matches, " ", this.followButton);
      controls.hidden = false;
      this.makeEdges();
      this.showFollow();
      this.showCount();
    }

    makeEdges() {
      this.earlierLink = this.section.querySelector("[data-console-earlier]");
      this.earlierLink.addEventListener("click", (event) => {
        if (!event.target.closest("a") || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        this.showEarlier().catch(() => this.announce("Earlier lines could not be loaded."));
      });
      this.laterButton = this.makeButton("Later lines", "", () => this.showLater());
      this.list.parentElement.after(this.laterButton);
    }

    makeButton(text, label, press) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      if (label) button.setAttribute("aria-label", label);
      button.addEventListener("click", press);
      return button;
    }

    makeSelect(name, choices) {
      const label = document.createElement("label");
      const select = document.createElement("select");
      for (const [value, text] of choices) select.add(new Option(text, value));
      label.append(`${name} `, select);
      return select;
    }

    knowStep(step) {
      if (!step || this.steps.has(step)) return;
      this.steps.add(step);
      this.step.add(new Option(step.replaceAll("-", " "), step));
    }

    passes(line) {
      const levels = this.level.value;
      return (!levels || levels.split(" ").includes(line.level))
        && (!this.step.value || line.step === this.step.value);
    }

    filter() {
      const seen = this.visible[this.shownFrom]?.seq ?? 0;
      this.visible = this.lines.filter((line) => this.passes(line));
      if (this.following) {
        this.toEnd(true);
      } else {
        const at = this.visible.findIndex((line) => line.seq >= seen);
        const start = Math.max(0, Math.min(at, this.visible.length - WINDOW));
        this.show(start, Math.min(this.visible.length, start + WINDOW));
      }
      if (this.words) this.findAgain();
    }

    scrolled() {
      const below = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight;
      const atEnd = below < 24 && this.shownTo === this.visible.length && !this.words;
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

    toEnd(again = false) {
      if (again || this.shownTo !== this.visible.length) this.showNewest();
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
