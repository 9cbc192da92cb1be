"use strict";
// Everything shown comes from the block below and is put in as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const title = (ix) => data.titles[ix] || data.items[ix];
const SHOWN = 300;
for (const row of data.rows) { // what is a number is that much of retrieval's own order
  for (const name of ["lists", "seen"]) {
    row[name] = row[name].map((some, user) => typeof some === "number" ? data.deep[user].slice(0, some) : some);
  }
}
let current = -1;

function make(tag, text, attributes) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  return node;
}

function place(row, user) {
  const at = data.rows[row].lists[user].findIndex((ix) => data.targets[user].includes(ix));
  return at + 1;
}

function wanted(user, text, found, row) {
  if (text && !data.users[user].toLowerCase().includes(text)) return false;
  const at = place(row, user);
  if (found === "hit") return at > 0;
  if (found === "miss") return at === 0;
  if (found === "lost") return at === 0 && data.rows[row].seen[user].some((ix) => data.targets[user].includes(ix));
  return true;
}

function listUsers() {
  const row = Number(by("row").value), text = by("find").value.toLowerCase(), found = by("which").value;
  const people = by("people");
  people.replaceChildren();
  let n = 0;
  for (let user = 0; user < data.users.length; user++) {
    if (!wanted(user, text, found, row)) continue;
    n += 1;
    if (n > SHOWN) continue;
    const at = place(row, user);
    const button = make("button", `${data.users[user]} · ${data.strata[user]} · ${at ? "place " + at : "missed"}`,
      { type: "button", "aria-current": String(user === current) });
    button.addEventListener("click", () => { current = user; listUsers(); show(); });
    people.append(button);
  }
  by("count").textContent = n > SHOWN ? `${n} users, the first ${SHOWN} listed` : `${n} users`;
}

function ordered(items, targets, marks) {
  const list = make("ol");
  items.forEach((ix, at) => {
    const words = marks && marks[at] ? `${title(ix)} (${marks[at]})` : title(ix);
    const entry = make("li", words, { title: data.items[ix] });
    if (targets.includes(ix)) entry.className = "target";
    list.append(entry);
  });
  if (!items.length) list.append(make("li", "nothing"));
  return list;
}

function block(heading, node) {
  const part = make("div");
  part.append(make("h3", heading), node);
  return part;
}

function show() {
  const pane = by("user");
  pane.replaceChildren();
  if (current < 0) return;
  const row = data.rows[Number(by("row").value)], targets = data.targets[current];
  const where = place(Number(by("row").value), current);
  const seen = row.seen[current].findIndex((ix) => targets.includes(ix)) + 1;
  const said = where ? `The target is at place ${where} of the list.`
    : seen ? `The target was candidate ${seen}, but is not in the list.`
    : "The target was not among the candidates.";
  pane.append(make("h3", `${data.users[current]}, ${data.strata[current]}`));
  pane.append(make("p", `Took next: ${targets.map(title).join("; ")}. ${said}`));
  const outcome = row.outcome && row.outcome[current];
  if (outcome) pane.append(make("p", outcome, { class: "soft" }));
  const lists = make("div", undefined, { class: "lists" });
  lists.append(block("Final list", ordered(row.lists[current], targets, row.origins && row.origins[current])));
  lists.append(block("Candidates", ordered(row.seen[current], targets)));
  const total = data.lengths[current], some = data.histories[current];
  lists.append(block(total > some.length ? `History (last ${some.length} of ${total})` : "History",
    ordered(some, targets)));
  pane.append(lists);
  const asked = row.asked && row.asked[current];
  if (asked) {
    for (const [role, text] of asked.messages) pane.append(block(`Prompt: ${role}`, make("pre", text)));
    asked.replies.forEach((text, at) => pane.append(block(at ? "Reply to the re-ask" : "Raw reply", make("pre", text))));
  } else if (row.asked) {
    pane.append(make("p", data.notice, { class: "soft" }));
  }
}

data.rows.forEach((row, at) => by("row").append(make("option", row.name, { value: at })));
by("row").value = String(data.first);
for (const id of ["row", "which"]) by(id).addEventListener("change", () => { listUsers(); show(); });
by("find").addEventListener("input", listUsers);
current = data.users.length ? 0 : -1;
listUsers();
show();
document.documentElement.dataset.ready = "yes";
