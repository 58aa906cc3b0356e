// Runs one task at a time and shows its progress, its Cancel button and its errors.

import { byId } from "./dom.js";

const SHOWN_AFTER = 250; // ms, so that the bar does not flicker

let current = null;

/** Run `task(job)` and cancel the one before it. Resolves to whether it succeeded, or null if a newer one replaced it. */
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
    tell(error.name === "AbortError" ? "Cancelled. Finished texts are kept." : error.message);
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
    byId("work-label").textContent = expected ? `${ready} of ${expected} texts embedded` : "Waiting for the server";
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
