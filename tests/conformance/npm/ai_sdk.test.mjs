// The Vercel AI SDK with two providers that speak Emby's contract, against the mock at MOCK_URL.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { createLLMGateway } from "@llmgateway/ai-sdk-provider";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { APICallError, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { MOCK_URL: url, MOCK_KEY: key, MOCK_PROFILE: profile } = process.env;

const providers = {
  openrouter: (apiKey) => createOpenRouter({ apiKey, baseURL: url }),
  llmgateway: (apiKey) => createLLMGateway({ apiKey, baseURL: url }),
};
const painter = "Generate an image of a puppy";
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});

const isPng = (bytes) => Buffer.from(bytes).subarray(1, 4).toString() === "PNG";
const isPicture = (file) => file.mediaType === "image/png" && isPng(file.uint8Array);
const raised = async (stream) => {
  const errors = [];
  for await (const part of stream.fullStream) if (part.type === "error") errors.push(part.error);
  return errors;
};

for (const [name, connect] of Object.entries(providers)) {
  describe(`${name}, ${profile}`, () => {
    const model = connect(key).chat("qwen2.5-vision");
    const painted = () => generateText({ model, prompt: painter });

    test("text", async () => {
      const { text, usage, finishReason } = await generateText({ model, prompt: "Hello" });
      assert.match(text, /This is emby-mock/);
      assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
      assert.equal(finishReason, "stop");
    });

    test("a stream of text", async () => {
      const { text: whole } = await generateText({ model, prompt: "Hello" });
      const stream = streamText({ model, prompt: "Hello" });
      const pieces = [];
      for await (const piece of stream.textStream) pieces.push(piece);
      assert.ok(pieces.length > 3);
      assert.equal(pieces.join(""), whole);
      assert.ok((await stream.usage).outputTokens > 0);
    });

    test("reasoning", async () => {
      const settings = { extraBody: { reasoning_effort: "low" } };
      const asked = { model: connect(key).chat("qwen2.5-vision", settings), prompt: "Why?" };
      const stream = streamText(asked);
      await stream.consumeStream();
      assert.match(await stream.reasoningText, /low effort/);
      const { reasoningText } = await generateText(asked);
      // A known loss: not streamed, this provider looks for it under other names only.
      const expected = name === "llmgateway" ? undefined : await stream.reasoningText;
      assert.equal(reasoningText, expected);
    });

    test("tools", async () => {
      const asked = {
        model,
        prompt: "What is the weather in Paris?",
        tools: { weather },
        stopWhen: stepCountIs(3),
      };
      if (name === "openrouter" && profile !== "2026-08") {
        // A known loss: it sends null beside tool calls (tool-round-content-null).
        const refused = { statusCode: 400, responseBody: /Expected string, received null/ };
        return assert.rejects(generateText(asked), refused);
      }
      const { text, steps } = await generateText(asked);
      assert.equal(steps[0].toolCalls[0].toolName, "weather");
      assert.match(text, /Sunny in/);
      const stream = streamText(asked);
      await stream.consumeStream();
      assert.equal(await stream.text, text);
    });

    test("a schema", async () => {
      const schema = z.object({ name: z.string(), legs: z.number() });
      const { object } = await generateObject({ model, schema, prompt: "Describe a dog" });
      assert.deepEqual(Object.keys(object).sort(), ["legs", "name"]);
    });

    test("image generation", async () => {
      const { files, text } = await painted();
      assert.equal(text, "Here is your generated image:");
      assert.equal(files.length, 1);
      assert.ok(isPicture(files[0]));
    });

    test("image generation, streamed", async () => {
      const { files } = await painted();
      const stream = streamText({ model, prompt: painter });
      const found = [];
      for await (const part of stream.fullStream) if (part.type === "file") found.push(part.file);
      assert.deepEqual(found.map((file) => file.base64), files.map((file) => file.base64));
    });

    test("two images, streamed", async () => {
      const stream = streamText({ model, prompt: "Generate two images of a puppy" });
      await stream.consumeStream();
      const files = await stream.files;
      assert.equal(new Set(files.map((file) => file.base64)).size, 2);
    });

    test("a model that only makes images, streamed", async () => {
      const painters = connect(key).chat("emby-mock-image");
      const stream = streamText({ model: painters, prompt: "two photos of a cat" });
      await stream.consumeStream();
      assert.equal((await stream.files).filter(isPicture).length, 2);
    });

    test("image editing", async () => {
      const [{ base64, uint8Array, mediaType }] = (await painted()).files;
      const content = [
        { type: "file", data: uint8Array, mediaType },
        { type: "text", text: "Remove the background and convert this to a 3D style." },
      ];
      const { files } = await generateText({ model, messages: [{ role: "user", content }] });
      assert.ok(isPicture(files[0]));
      assert.notEqual(files[0].base64, base64);
    });

    test("a picture of the turn before is lost", async () => {
      // A known loss: neither provider sends the assistant's files back, so there is nothing to edit.
      const first = await painted();
      const messages = [
        { role: "user", content: painter },
        ...first.response.messages,
        { role: "user", content: "Make it grayscale" },
      ];
      const { files, text } = await generateText({ model, messages });
      assert.equal(files.length, 0);
      assert.match(text, /Before that came 2 messages/);
    });

    test("a look at an image", async () => {
      const [{ uint8Array, mediaType }] = (await painted()).files;
      const content = [
        { type: "text", text: "What is shown in this image?" },
        { type: "file", data: uint8Array, mediaType },
      ];
      const { text } = await generateText({ model, messages: [{ role: "user", content }] });
      assert.match(text, /256x256/);
    });

    test("a wrong key", async () => {
      const locked = connect("another").chat("qwen2.5-vision");
      const refused = (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, 401);
        // A known loss: of a flat error neither provider reads the message.
        const isFlat = profile !== "2026-08";
        assert.match(error.message, isFlat ? /^Unauthorized$/ : /^Unauthorized: .*token/);
        return true;
      };
      await assert.rejects(generateText({ model: locked, prompt: "Hello", maxRetries: 0 }), refused);
      const stream = streamText({ model: locked, prompt: "Hello", maxRetries: 0, onError() {} });
      const errors = await raised(stream);
      assert.equal(errors.length, 1);
      refused(errors[0]);
    });
  });
}
