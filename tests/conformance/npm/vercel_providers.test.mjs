// The AI SDK with Vercel's own two providers of OpenAI's form, against the mock at MOCK_URL: a tool
// round, and the failures that were recorded. Neither knows images in a chat's reply.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const { MOCK_URL: baseURL, MOCK_KEY: key, MOCK_PROFILE: profile } = process.env;

const isFlat = profile !== "2026-08";
// What makes tool rounds work on every state: both providers send null beside tool calls.
const withEmptyContent = (url, init) => {
  const body = JSON.parse(init.body);
  for (const message of body.messages) message.content ??= "";
  return fetch(url, { ...init, body: JSON.stringify(body) });
};
const connect = {
  "openai-compatible": (more) =>
    createOpenAICompatible({ name: "emby", baseURL, includeUsage: true, ...more }).chatModel,
  openai: (more) => createOpenAI({ baseURL, ...more }).chat,
};
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});

for (const [name, provider] of Object.entries(connect)) {
  describe(`${name}, ${profile}`, () => {
    const chat = (more, model = "qwen2.5-vision") => provider({ apiKey: key, ...more })(model);
    const round = (more) => ({
      model: chat({ fetch: withEmptyContent }),
      prompt: "What is the weather in Paris?",
      tools: { weather },
      stopWhen: isStepCount(3),
      maxRetries: 0,
      ...more,
    });
    const refused = async (settings, status, says) => {
      const asked = { prompt: "Hello", maxRetries: 0, ...settings };
      await assert.rejects(generateText(asked), (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        assert.match(error.responseBody, says);
        return true;
      });
    };

    test("a tool round", async () => {
      const { text, steps } = await generateText(round());
      assert.equal(steps[0].toolCalls[0].toolName, "weather");
      assert.match(text, /Sunny in/);
    });

    test("a tool round, streamed", async () => {
      const stream = streamText(round());
      await stream.consumeStream();
      assert.match(await stream.text, /Sunny in/);
    });

    test("null beside tool calls, as the provider sends it", async () => {
      // tool-round-content-null: a 400 but for 2026-08.
      const asked = round({ model: chat() });
      if (!isFlat) return assert.match((await generateText(asked)).text, /Sunny in/);
      await refused(asked, 400, /Expected string, received null/);
    });

    test("a call that is required", async () => {
      // tool-choice-required: a 400 in 2025-11, and so in what builds on it.
      const asked = round({ toolChoice: "required", stopWhen: isStepCount(1) });
      if (["2025-12", "2026-08"].includes(profile)) {
        return assert.equal((await generateText(asked)).toolCalls.length, 1);
      }
      await refused(asked, 400, /"path":\["tool_choice"\]/);
    });

    test("failures before a provider is asked", async () => {
      // key-bad, model-unknown: flat but in 2026-08, so the message is only in the body.
      const form = isFlat ? /^\{"error":true,/ : /^\{"error":\{"message":/;
      await refused({ model: chat({ apiKey: "another" }) }, 401, form);
      await refused({ model: chat({}, "nope") }, 400, form);
      await refused({ model: chat({}, "nope") }, 400, /nope/);
    });

    test("a provider's failure", async () => {
      // upstream-*: nested in every state, and a 500 whatever the provider said.
      const model = chat({ headers: { "X-Emby-Mock-Fault": "upstream=429; times=9" } });
      await refused({ model }, 500, /"message":"Error from provider.*429/);
      const errors = [];
      const stream = streamText({ model, prompt: "Hello", maxRetries: 0, onError() {} });
      for await (const part of stream.fullStream) if (part.type === "error") errors.push(part.error);
      assert.equal(errors.length, 1);
      assert.match(JSON.stringify(errors[0]) + errors[0], /Error from provider.*429/);
    });
  });
}
