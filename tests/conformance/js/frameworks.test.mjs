// Frameworks that people build on, against the real binary: LangChain.js and the Vercel AI SDK, over the model of this server and over providers of every family
// (../../replays.py answers in their place, on their wire).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatAnthropic } from '@langchain/anthropic';
import { Document } from '@langchain/core/documents';
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { BaseRetriever } from '@langchain/core/retrievers';
import { tool as langTool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import OpenAI, { toFile } from 'openai';
import { z } from 'zod';
import { ANSWER_TOKENS, CHAT, EMBED, FAMILIES, PROMPT_TOKENS, TEXT, withServer } from './server.mjs';

let setup;

process.env.AI_SDK_LOG_WARNINGS = 'false';
withServer((started) => { setup = started; }, 'providers');

const openaiChat = (model, more = {}) => new ChatOpenAI({ model, apiKey: setup.key, configuration: { baseURL: setup.url + '/v1' }, temperature: 0, maxRetries: 0, maxTokens: 64, ...more });
const anthropicChat = (model) => new ChatAnthropic({ model, apiKey: setup.key, anthropicApiUrl: setup.url, temperature: 0, maxRetries: 0, maxTokens: 64 });
const kinds = { 'OpenAI chat': (model) => openaiChat(model), 'OpenAI responses': (model) => openaiChat(model, { useResponsesApi: true }), 'Anthropic': anthropicChat };
const textOf = (message) => (typeof message.content === 'string' ? message.content : message.content.filter((part) => part.type === 'text').map((part) => part.text).join(''));
const weather = langTool(async ({ city }) => `sunny in ${city}`, { name: 'weather', description: 'of a city', schema: z.object({ city: z.string() }) });

for (const [kind, chat] of Object.entries(kinds)) {
  test(`LangChain, ${kind}: the model of this server answers and streams`, async () => {
    const asked = [new SystemMessage('You answer in one word.'), new HumanMessage('What is the capital of France?')];
    const answer = await chat(CHAT).invoke(asked);
    assert.match(textOf(answer), /Paris/);
    assert.ok(answer.usage_metadata.input_tokens > 10 && answer.usage_metadata.output_tokens > 0);
    let streamed = '';
    for await (const piece of await chat(CHAT).stream(asked)) streamed += textOf(piece);
    assert.equal(streamed, textOf(answer));
  });

  test(`LangChain, ${kind}: providers answer, stream, call tools and keep to schemas`, async () => {
    for (const family of FAMILIES) {
      const model = chat(`${family}/big`);
      const answer = await model.invoke('What is the capital?');
      assert.equal(textOf(answer), TEXT, family);
      assert.deepEqual([answer.usage_metadata.input_tokens, answer.usage_metadata.output_tokens], [PROMPT_TOKENS, ANSWER_TOKENS], family);
      let streamed = '', pieces = 0;
      for await (const piece of await model.stream('What is the capital?')) (streamed += textOf(piece)), pieces++;
      assert.equal(streamed, TEXT, family);
      assert.ok(pieces > 3, 'it came in pieces');
      const asked = await model.bindTools([weather]).invoke('How is the weather?');
      assert.deepEqual(asked.tool_calls.map(({ name, args }) => [name, args]), [['weather', { city: 'Bern' }]], family);
      const done = await weather.invoke(asked.tool_calls[0]);
      assert.ok(done instanceof ToolMessage && done.content === 'sunny in Bern');
      const after = await model.invoke([new HumanMessage('How is the weather?'), asked, done]);
      assert.equal(textOf(after), TEXT, family);
    }
  });

  test(`LangChain, ${kind}: errors are errors`, async () => {
    await assert.rejects(chat('openai/big').invoke('FAIL 429'), (error) => error.status === 429 || /429|rate/i.test(String(error)));
    await assert.rejects(chat('no-such-model').invoke('Hello'), (error) => error.status === 404 || /404|not_found|no model/i.test(String(error)));
  });
}

test('LangChain: structured output and embeddings', async () => {
  for (const family of FAMILIES) assert.deepEqual(await openaiChat(`${family}/big`).withStructuredOutput(z.object({ ok: z.boolean() }), { method: 'jsonSchema' }).invoke('Is it?'), { ok: true }, family);
  const local = await openaiChat(CHAT).withStructuredOutput(z.object({ city: z.string() }), { method: 'jsonSchema' }).invoke('Name a city in France.');
  assert.equal(typeof local.city, 'string');
  const vectors = await new OpenAIEmbeddings({ model: EMBED, apiKey: setup.key, configuration: { baseURL: setup.url + '/v1' } }).embedDocuments(['keys', 'locks', 'lunch']);
  assert.deepEqual(vectors.map((vector) => vector.length), [384, 384, 384]);
});

const sdk = {
  'OpenAI chat': () => createOpenAI({ baseURL: setup.url + '/v1', apiKey: setup.key }).chat,
  'OpenAI responses': () => createOpenAI({ baseURL: setup.url + '/v1', apiKey: setup.key }).responses,
  'compatible': () => createOpenAICompatible({ name: 'stoa', baseURL: setup.url + '/v1', apiKey: setup.key, includeUsage: true, supportsStructuredOutputs: true }),
  'Anthropic': () => createAnthropic({ baseURL: setup.url + '/v1', apiKey: setup.key }),
};

for (const [kind, provider] of Object.entries(sdk)) {
  const ask = { maxRetries: 0, maxOutputTokens: 64 };
  test(`Vercel AI SDK, ${kind}: the model of this server answers and streams`, async () => {
    const prompt = 'What is the capital of France? Answer in one word.';
    const answer = await generateText({ model: provider()(CHAT), prompt, temperature: 0, ...ask });
    assert.match(answer.text, /Paris/);
    assert.ok(answer.usage.inputTokens > 10 && answer.usage.outputTokens > 0);
    const stream = streamText({ model: provider()(CHAT), prompt, temperature: 0, ...ask });
    assert.equal(await stream.text, answer.text);
    assert.equal((await stream.usage).outputTokens, answer.usage.outputTokens);
  });

  test(`Vercel AI SDK, ${kind}: providers answer, stream, run tools and keep to schemas`, async () => {
    for (const family of FAMILIES) {
      const model = provider()(`${family}/big`);
      const answer = await generateText({ model, prompt: 'What is the capital?', ...ask });
      assert.deepEqual([answer.text, answer.usage.inputTokens, answer.usage.outputTokens], [TEXT, PROMPT_TOKENS, ANSWER_TOKENS], family);
      const pieces = [];
      for await (const piece of streamText({ model, prompt: 'What is the capital?', ...ask }).textStream) pieces.push(piece);
      assert.equal(pieces.join(''), TEXT, family);
      assert.ok(pieces.length > 1, family);
      const tools = { weather: tool({ description: 'of a city', inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `sunny in ${city}` }) };
      const acted = await generateText({ model, prompt: 'How is the weather?', tools, stopWhen: stepCountIs(2), ...ask });
      assert.deepEqual(acted.steps[0].toolResults.map(({ toolName, input, output }) => [toolName, input, output]), [['weather', { city: 'Bern' }, 'sunny in Bern']], family);
      const kept = await generateText({ model, prompt: 'Is it?', output: Output.object({ schema: z.object({ ok: z.boolean() }) }), ...ask });
      assert.deepEqual(kept.output, { ok: true }, family);
    }
  });

  test(`Vercel AI SDK, ${kind}: errors are errors`, async () => {
    await assert.rejects(generateText({ model: provider()('openai/big'), prompt: 'FAIL 429', ...ask }), (error) => error.statusCode === 429);
    await assert.rejects(generateText({ model: provider()('no-such-model'), prompt: 'Hello', ...ask }), (error) => error.statusCode === 404);
  });
}

test('Vercel AI SDK: embeddings', async () => {
  const { embeddings } = await embedMany({ model: createOpenAI({ baseURL: setup.url + '/v1', apiKey: setup.key }).embedding(EMBED), values: ['keys', 'locks'] });
  assert.deepEqual(embeddings.map((vector) => vector.length), [384, 384]);
});

// A retriever as applications write it: a few lines over the vector stores' search.
class StoreRetriever extends BaseRetriever {
  lc_namespace = ['stoa', 'retrievers'];
  constructor({ client, store, ...search }) {
    super({});
    Object.assign(this, { client, store, search });
  }
  async _getRelevantDocuments(query) {
    const page = await this.client.vectorStores.search(this.store, { query, ...this.search });
    return page.data.map((hit) => new Document({ pageContent: hit.content.map((part) => part.text).join('\n'), id: hit.file_id, metadata: { filename: hit.filename, score: hit.score, ...hit.attributes } }));
  }
}

test('LangChain: a retriever over a vector store finds, filters and rewords', async () => {
  const client = new OpenAI({ apiKey: setup.key, baseURL: setup.url + '/v1', maxRetries: 0 });
  const texts = { keys: 'An access key is rotated every ninety days by the security team.', garden: 'The roof garden opens in April.', lunch: 'Lunch is served from noon.' };
  const store = await client.vectorStores.create({ name: 'retriever' });
  for (const [name, text] of Object.entries(texts)) {
    const file = await client.files.create({ file: await toFile(Buffer.from(text), `${name}.txt`), purpose: 'assistants' });
    await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { kind: name === 'keys' ? 'policy' : 'notes' } }, { pollIntervalMs: 50 });
  }
  const find = (query, more = {}) => new StoreRetriever({ client, store: store.id, max_num_results: 2, ...more }).invoke(query);
  const found = await find('how often are keys rotated?');
  assert.equal(found.length, 2);
  assert.ok(found[0] instanceof Document && found[0].pageContent === texts.keys && found[0].metadata.score > found[1].metadata.score);
  const notes = await find('how often are keys rotated?', { filters: { type: 'eq', key: 'kind', value: 'notes' } });
  assert.deepEqual(notes.map((document) => document.metadata.kind), ['notes', 'notes']);
  assert.equal((await find('how often are keys rotated?', { rewrite_query: true }))[0].pageContent, texts.keys);
  assert.deepEqual(await find('how often are keys rotated?', { ranking_options: { ranker: 'auto', score_threshold: 1 } }), []);
  await assert.rejects(find('keys', { max_num_results: 0 }), (error) => error.status === 400 && error.param === 'max_num_results');
});
