// The official Anthropic SDK for JavaScript against the real binary over the model of this server; providers.test.mjs has the other targets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { CHAT, until, withServer } from './server.mjs';

const QUESTION = [{ role: 'user', content: 'What is the capital of France? Answer in one word.' }];
const WEATHER = { name: 'weather', description: 'The weather of a city.', strict: true,
  input_schema: { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false } };
let client, setup;

const connect = (options = {}) => new Anthropic({ apiKey: setup.key, baseURL: setup.url, maxRetries: 0, ...options });
const body = (options) => ({ model: CHAT, temperature: 0, max_tokens: 24, messages: QUESTION, ...options });
const rejects = (promise, kind, type) => assert.rejects(promise, (error) => {
  assert.ok(error instanceof kind, String(error));
  assert.equal(error.error.error.type, type);
  assert.equal(error.error.request_id, error.requestID);
  return true;
});

withServer((started) => {
  setup = started;
  client = connect();
});

test('a message has text, usage and a request id', async () => {
  const { data, response } = await client.messages.create(body()).withResponse();
  assert.match(data.content[0].text, /Paris/);
  assert.equal(data.stop_reason, 'end_turn');
  assert.ok(data.usage.output_tokens > 0);
  assert.equal(response.headers.get('request-id'), data._request_id);
});

test('a stream equals the plain answer', async () => {
  const plain = await client.messages.create(body());
  let text = '';
  const stream = client.messages.stream(body()).on('text', (piece) => { text += piece; });
  const final = await stream.finalMessage();
  assert.equal(text, plain.content[0].text);
  assert.equal(final.content[0].text, text);
  assert.equal(final.usage.output_tokens, plain.usage.output_tokens);
});

test('tools go there and back', async () => {
  const messages = [{ role: 'user', content: 'What is the weather in Paris?' }];
  const answer = await client.messages.stream(body({ max_tokens: 60, messages, tools: [WEATHER], tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true } })).finalMessage();
  const call = answer.content.at(-1);
  assert.equal(answer.stop_reason, 'tool_use');
  assert.ok(['Paris', 'Rome'].includes(call.input.city));
  messages.push({ role: 'assistant', content: answer.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'Sunny.' }] });
  assert.ok((await client.messages.create(body({ messages, tools: [WEATHER], tool_choice: { type: 'none' } }))).content[0].text);
});

test('tokens are counted', async () => {
  const { input_tokens } = await client.messages.countTokens({ model: CHAT, messages: QUESTION });
  const { usage } = await client.messages.create(body());
  assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
});

test('errors are those of the SDK', async () => {
  await rejects(client.messages.create(body({ model: 'gpt-99' })), Anthropic.NotFoundError, 'not_found_error');
  await rejects(client.messages.create(body({ max_tokens: 0 })), Anthropic.BadRequestError, 'invalid_request_error');
  await rejects(connect({ apiKey: 'sk-stoa-wrong' }).messages.create(body()), Anthropic.AuthenticationError, 'authentication_error');
  assert.ok((await connect({ apiKey: null, authToken: setup.key }).messages.create(body())).content.length);
});

test('message batches answer, tell errors, and are listed', async () => {
  const created = await client.messages.batches.create({ requests: [{ custom_id: 'good', params: body() }, { custom_id: 'bad', params: body({ model: 'gpt-99' }) }] });
  const batch = await until(() => client.messages.batches.retrieve(created.id), ({ processing_status }) => processing_status === 'ended');
  assert.deepEqual(batch.request_counts, { processing: 0, succeeded: 1, errored: 1, canceled: 0, expired: 0 });
  const results = {};
  for await (const { custom_id, result } of await client.messages.batches.results(created.id)) results[custom_id] = result;
  assert.match(results.good.message.content[0].text, /Paris/);
  assert.equal(results.bad.error.error.type, 'not_found_error');
  const ids = [];
  for await (const one of client.messages.batches.list({ limit: 1 })) ids.push(one.id);
  assert.deepEqual(ids, [created.id]);
  assert.equal((await client.messages.batches.delete(created.id)).type, 'message_batch_deleted');
  await rejects(client.messages.batches.retrieve(created.id), Anthropic.NotFoundError, 'not_found_error');
});
