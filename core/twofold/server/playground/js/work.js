// One piece of work at a time: its progress, its Cancel button, and the words for what went wrong.

import { byId } from "./dom.js";

const SHOWN_AFTER = 250; // ms: a bar that only flickers is worse than none

let current = null;

/** Do `task(job)`; work that was under way is given up. Resolves to whether it was done, or to null where newer work came. */
export async function work(task) {
  current?.abort();
  const control = (current = new AbortController());
  const job = counting(control.signal);
  byId("alert").hidden = true;
  byId("panel").setAttribute("aria-busy", "true");
  const timer = setTimeout(() => (byId("work").hidden = false), SHOWN_AFTER);
  try {
    await task(job);
    return true;
  } catch (error) {
    if (current !== control) return null;
    tell(error.name === "AbortError" ? "Cancelled. What was done is kept." : error.message);
    return false;
  } finally {
    clearTimeout(timer);
    if (current === control) {
      byId("work").hidden = true;
      byId("panel").removeAttribute("aria-busy");
      current = null;
    }
  }
}

/** Show an error as text. */
export function tell(message) {
  byId("alert").textContent = message;
  byId("alert").hidden = false;
}

function counting(signal) {
  let expected = 0;
  let ready = 0;
  const show = () => {
    byId("progress").max = Math.max(expected, 1);
    byId("progress").value = ready;
    byId("work-label").textContent = expected ? `${ready} of ${expected} texts embedded` : "Asking the server";
  };
  show();
  return {
    signal,
    expect(count) {
      expected += count;
      show();
    },
    done(count) {
      signal.throwIfAborted();
      ready += count;
      show();
    },
  };
}

byId("cancel").addEventListener("click", () => current?.abort());
