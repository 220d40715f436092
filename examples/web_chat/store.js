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

/** A file as a data URL; rejects, in words for the user, what is no picture that can be sent. */
export function readPicture(file) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const name = file.name || "The picture";
  const reader = new FileReader();
  reader.onerror = () => reject(new Error(`${name} can't be read.`));
  reader.onload = () => {
    if (isPicture(reader.result)) resolve(reader.result);
    else reject(new Error(`${name} is no PNG, JPEG, WebP or GIF.`));
  };
  if (file.size > MOST_BYTES) reject(new Error(`${name} is over 30 MB.`));
  else reader.readAsDataURL(file);
  return promise;
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
