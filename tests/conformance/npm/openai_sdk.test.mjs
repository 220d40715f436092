// OpenAI's own SDK against the mock at MOCK_URL: a tool round, and the failures that were recorded.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import OpenAI from "openai";

const { MOCK_URL: baseURL, MOCK_KEY: apiKey, MOCK_PROFILE: profile } = process.env;

const isFlat = profile !== "2026-08";
const model = "qwen2.5-vision";
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];
const question = { role: "user", content: "What is the weather in Paris?" };
const client = (settings) => new OpenAI({ apiKey, baseURL, maxRetries: 0, ...settings });
const failure = async (ask) => {
  try {
    await ask();
  } catch (error) {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    return error;
  }
  assert.fail("it did not fail");
};
const drained = async (stream) => {
  for await (const _ of stream);
};

describe(`openai, ${profile}`, () => {
  const ask = (messages, more) =>
    client().chat.completions.create({ model, messages, tools, ...more });

  test("a tool round", async () => {
    const [{ message, finish_reason }] = (await ask([question])).choices;
    assert.equal(finish_reason, "tool_calls");
    const [call] = message.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: "Sunny, 21 degrees." };
    const said = { ...message, content: message.content ?? "" };
    const { choices } = await ask([question, said, result]);
    assert.match(choices[0].message.content, /Sunny/);
  });

  test("a tool round, streamed", async () => {
    const runner = client().chat.completions.stream({ model, messages: [question], tools });
    const [{ message }] = (await runner.finalChatCompletion()).choices;
    assert.equal(JSON.parse(message.tool_calls[0].function.arguments).city, "Paris");
    const said = { ...message, content: message.content ?? "" };
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "Sunny." };
    const answer = client().chat.completions.stream({
      model,
      messages: [question, said, result],
      tools,
    });
    assert.match(await answer.finalContent(), /Sunny/);
  });

  test("null beside tool calls, as the SDK gives it", async () => {
    // tool-round-content-null: a 400 but for 2026-08. Hence `?? ""` above.
    const [{ message }] = (await ask([question])).choices;
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "Sunny." };
    const round = () => ask([question, { ...message, content: null }, result]);
    if (profile === "2026-08") return assert.ok((await round()).choices.length);
    const error = await failure(round);
    assert.equal(error.status, 400);
    assert.equal(error.error.name, "ZodError");
  });

  test("a call that is required", async () => {
    // tool-choice-required: a 400 in 2025-11, and so in what builds on it.
    const required = () => ask([question], { tool_choice: "required" });
    if (["2025-12", "2026-08"].includes(profile)) {
      return assert.ok((await required()).choices[0].message.tool_calls.length);
    }
    const error = await failure(required);
    assert.equal(error.status, 400);
    const named = { type: "function", function: { name: "get_weather" } };
    const { choices } = await ask([question], { tool_choice: named });
    assert.equal(choices[0].message.tool_calls[0].function.name, "get_weather");
  });

  test("a wrong key", async () => {
    // key-bad, key-bad-stream.
    for (const stream of [false, true]) {
      const asked = { model, messages: [question], stream };
      const locked = client({ apiKey: "another" }).chat.completions;
      const error = await failure(() => locked.create(asked));
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.code, isFlat ? undefined : "invalid_api_key");
    }
  });

  test("an unknown model", async () => {
    // model-unknown.
    const error = await failure(() => ask([question], { model: "nope" }));
    assert.ok(error instanceof OpenAI.BadRequestError);
    // A known loss: of a flat error the SDK reads no message.
    assert.match(error.message, isFlat ? /^400 true$/ : /nope/);
  });

  test("a provider's rate limit comes as a 500", async () => {
    // upstream-*: the SDK can't tell it from a failure of the gateway's, but by its message.
    const headers = { "X-Emby-Mock-Fault": "upstream=429" };
    const faulty = client({ defaultHeaders: headers }).chat.completions;
    const error = await failure(() => faulty.create({ model, messages: [question] }));
    assert.equal(error.status, 500);
    assert.match(error.message, /Error from provider.*429/);
  });

  test("a provider's rate limit in a stream", async () => {
    // upstream-*-stream: 200 and an error event, which the SDK raises as an APIError.
    const headers = { "X-Emby-Mock-Fault": "upstream=429" };
    const faulty = client({ defaultHeaders: headers }).chat.completions;
    const asked = { model, messages: [question], stream: true };
    const error = await failure(async () => drained(await faulty.create(asked)));
    assert.equal(error.status, undefined);
    assert.match(error.message, /Error from provider.*429/);
  });
});
