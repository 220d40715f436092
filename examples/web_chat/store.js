// The conversation, and what of it is sent. Knows nothing of the page.

const SHOWN = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+=*$/;
const MOST_BYTES = 30 * 1024 * 1024;
export const MOST_IMAGES = 8;

/** Whether a URL is one of the four kinds of picture, and nothing that could run. */
export const isPicture = (url) => typeof url === "string" && SHOWN.test(url);

/**
 * The messages to send. One turn's pictures travel: those of the new message, or, when it has
 * none, those of the last message that has some. So it is never in doubt which one is meant,
 * and a long conversation stays small.
 */
export function toSend(messages) {
  let meant = messages.length - 1;
  while (meant > 0 && !messages[meant].images.length) meant -= 1;
  return messages
    .map(({ role, text, images }, at) => ({ role, text, images: at === meant ? images.slice(-MOST_IMAGES) : [] }))
    .filter(({ role, text, images }) => role === "user" || text || images.length);
}

const SIGNATURES = [/^\x89PNG\r\n\x1a\n/, /^\xff\xd8\xff/, /^GIF8[79]a/, /^RIFF[^]{4}WEBP/];

/** A file as a data URL; rejects, in words for the user, a file that can't be sent. */
export async function readPicture(file) {
  const name = file.name || "The picture";
  if (file.size > MOST_BYTES) throw new Error(`${name} is over 30 MB.`);
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(new Error(`${name} can't be read.`));
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(file);
  });
  // The browser goes by the file's name; the server by its first bytes.
  const head = isPicture(url) ? atob(url.slice(url.indexOf(",") + 1).slice(0, 24)) : "";
  if (!SIGNATURES.some((signature) => signature.test(head)))
    throw new Error(`${name} is not a PNG, JPEG, WebP or GIF image.`);
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => {
    throw new Error(`${name} is damaged.`);
  });
  return url;
}

/** The browser's database, which keeps one conversation for this address; null without one. */
const database = new Promise((resolve) => {
  const opening = indexedDB.open("chat", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("conversations");
  opening.onsuccess = () => resolve(opening.result);
  opening.onerror = () => resolve(null);
}).catch(() => null);

/** The conversation that was kept last, or undefined. */
export async function load() {
  const found = await database;
  return new Promise((resolve) => {
    if (!found) return resolve();
    const request = found.transaction("conversations").objectStore("conversations").get("latest");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve();
  });
}

/** Keep a conversation instead of the one before. Without room for it, the older one stays. */
export async function save(conversation) {
  const kept = structuredClone(conversation);
  const found = await database;
  found?.transaction("conversations", "readwrite").objectStore("conversations").put(kept, "latest");
}

/** The events of the reply to these messages, as they come. Throws an Error fit to be shown. */
export async function* ask(model, messages, signal) {
  const response = await fetch("api/chat", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model, messages: toSend(messages) }),
    signal,
  });
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    throw new Error(said.error || `The server answered ${response.status}.`);
  }
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  // Pieces of an unfinished line: joined once, for a picture's line comes in hundreds of them.
  let rest = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = decoder.decode(value, { stream: true }).split("\n");
    const last = lines.pop();
    for (const line of lines) {
      yield JSON.parse(rest.join("") + line);
      rest = [];
    }
    if (last) rest.push(last);
  }
}
