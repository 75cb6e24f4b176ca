// The official OpenAI SDK for JavaScript against the real binary, over the model of this server; providers.test.mjs has the other targets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { CHAT, EMBED, rejects, until, withServer } from './server.mjs';

const QUESTION = [{ role: 'user', content: 'What is the capital of France? Answer in one word.' }];
let client, setup, store;

const connect = (options = {}) => new OpenAI({ apiKey: setup.key, baseURL: setup.url + '/v1', maxRetries: 0, ...options });
const say = (options = {}) => client.chat.completions.create({ model: CHAT, temperature: 0, max_tokens: 24, messages: QUESTION, ...options });

withServer(async (started) => {
  setup = started;
  client = connect();
  store = await client.vectorStores.create({ name: 'handbook' });
  const file = await toFile(Buffer.from('# Handbook\n\n## Keys\n\nAn access key is rotated every ninety days by the security team.\n\n## Lunch\n\nLunch is served in the canteen from noon.\n'), 'handbook.md');
  const uploaded = await client.files.create({ file, purpose: 'assistants' });
  const attached = await client.vectorStores.files.createAndPoll(store.id, { file_id: uploaded.id, attributes: { kind: 'handbook' } });
  assert.equal(attached.status, 'completed');
  store.file = uploaded.id;
});

test('models are listed and shown', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(CHAT) && ids.includes(EMBED));
  assert.equal((await client.models.retrieve(CHAT)).object, 'model');
  await rejects(client.models.retrieve('gpt-99'), OpenAI.NotFoundError, { code: 'model_not_found' });
});

test('chat answers with usage and a request id', async () => {
  const { data, response } = await say().withResponse();
  assert.match(data.choices[0].message.content, /Paris/);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.match(data._request_id, /^req_/);
  assert.equal(response.headers.get('x-request-id'), data._request_id);
});

test('a chat stream equals the plain answer', async () => {
  let text = '', finish = null, usage = null;
  for await (const chunk of await say({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, (await say()).choices[0].message.content);
  assert.equal(finish, 'stop');
  assert.ok(usage.total_tokens > 0);
});

const PERSON = { type: 'object', properties: { name: { type: 'string', maxLength: 12 }, role: { enum: ['reader', 'writer'] }, age: { type: 'integer', minimum: 1, maximum: 99 } },
  required: ['name', 'role', 'age'], additionalProperties: false };
const person = (text) => {
  const value = JSON.parse(text);
  assert.deepEqual(Object.keys(value), ['name', 'role', 'age']);
  assert.ok(['reader', 'writer'].includes(value.role) && value.age >= 1 && value.age <= 99 && [...value.name].length <= 12);
};
const TOOL = { type: 'function', function: { name: 'invite', description: 'Invites a person.', parameters: PERSON, strict: true } };

test('structured outputs conform to their schema, several at once', async () => {
  const answer = await say({ max_tokens: 200, n: 3, temperature: 1.3, seed: 1, response_format: { type: 'json_schema', json_schema: { name: 'person', schema: PERSON, strict: true } } });
  assert.equal(answer.choices.length, 3);
  for (const choice of answer.choices) person(choice.message.content);
  await rejects(say({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } } }), OpenAI.BadRequestError, { param: 'response_format.json_schema.schema' });
});

test('tool calls are valid, whole and streamed', async () => {
  const options = { max_tokens: 200, tools: [TOOL], tool_choice: 'required', parallel_tool_calls: false };
  const { message, finish_reason } = (await say(options)).choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.tool_calls[0].function.name, 'invite');
  person(message.tool_calls[0].function.arguments);
  const final = await client.chat.completions.stream({ model: CHAT, temperature: 0, messages: QUESTION, ...options }).finalMessage();
  assert.equal(final.tool_calls[0].function.arguments, message.tool_calls[0].function.arguments);
});

test('log-probabilities come with structured answers and calls, whole and streamed', async () => {
  const format = { type: 'json_schema', json_schema: { name: 'person', schema: PERSON, strict: true } };
  const joined = (content) => content.map(({ token }) => token).join('');
  const whole = (await say({ max_tokens: 200, response_format: format, logprobs: true, top_logprobs: 2 })).choices[0];
  assert.equal(joined(whole.logprobs.content), whole.message.content);
  const tokens = [];
  let text = '';
  for await (const chunk of await say({ max_tokens: 200, response_format: format, logprobs: true, top_logprobs: 2, stream: true })) {
    text += chunk.choices[0].delta.content ?? '';
    tokens.push(...(chunk.choices[0].logprobs?.content ?? []));
  }
  assert.equal(joined(tokens), text);
  assert.equal(text, whole.message.content);
  assert.ok(tokens.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 2));
  const call = (await say({ max_tokens: 200, tools: [TOOL], tool_choice: 'required', parallel_tool_calls: false, logprobs: true })).choices[0];
  assert.ok(joined(call.logprobs.content).includes(call.message.tool_calls[0].function.arguments));
});

test('the service tier is told, and not every tier is for everyone', async () => {
  assert.equal((await say({ max_tokens: 2, service_tier: 'flex' })).service_tier, 'flex');
  await rejects(say({ max_tokens: 2, service_tier: 'priority' }), OpenAI.PermissionDeniedError, { param: 'service_tier' });
});

test('responses call functions', async () => {
  let deltas = '', done = null;
  for await (const event of await client.responses.create({ model: CHAT, input: 'Invite Ann.', temperature: 0, max_output_tokens: 200, stream: true,
    tools: [{ type: 'function', name: 'invite', parameters: PERSON, strict: true }], tool_choice: { type: 'function', name: 'invite' }, parallel_tool_calls: false })) {
    if (event.type === 'response.function_call_arguments.delta') deltas += event.delta;
    if (event.type === 'response.function_call_arguments.done') done = event.arguments;
  }
  assert.equal(deltas, done);
  person(done);
});

test('the chat stream helper assembles the message', async () => {
  const stream = client.chat.completions.stream({ model: CHAT, temperature: 0, max_tokens: 24, messages: QUESTION });
  assert.match(await stream.finalContent(), /Paris/);
});

test('stop, limits and logprobs', async () => {
  const cut = await say({ max_tokens: 3, messages: [{ role: 'user', content: 'Tell me a story.' }] });
  assert.equal(cut.choices[0].finish_reason, 'length');
  assert.equal(cut.usage.completion_tokens, 3);
  const probabilities = (await say({ logprobs: true, top_logprobs: 2 })).choices[0].logprobs.content;
  assert.ok(probabilities.every((token) => token.logprob <= 0 && token.top_logprobs.length === 2));
});

test('several choices', async () => {
  const answer = await say({ n: 2, temperature: 1.4, seed: 5 });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
});

test('unicode survives a stream', async () => {
  let text = '';
  for await (const chunk of await say({ stream: true, max_tokens: 40, messages: [{ role: 'user', content: 'Repeat exactly: 🎉 naïve 東京 Привет 👩‍👩‍👧 مرحبا' }] })) text += chunk.choices[0].delta.content ?? '';
  assert.ok(!text.includes('\ufffd') && /[^\x00-\x7f]/.test(text));
});

test('completions', async () => {
  const options = { model: CHAT, prompt: 'The capital of France is', temperature: 0, max_tokens: 5 };
  const whole = (await client.completions.create(options)).choices[0].text;
  assert.match(whole, /Paris/);
  let text = '';
  for await (const chunk of await client.completions.create({ ...options, stream: true })) text += chunk.choices[0].text;
  assert.equal(text, whole);
});

test('embeddings: base64 by default, equal to float', async () => {
  const vector = (await client.embeddings.create({ model: EMBED, input: 'hello' })).data[0].embedding;
  const floats = (await client.embeddings.create({ model: EMBED, input: 'hello', encoding_format: 'float' })).data[0].embedding;
  assert.equal(vector.length, 384);
  vector.forEach((value, i) => assert.ok(Math.abs(value - floats[i]) < 1e-6));
});

test('errors have the classes of the SDK', async () => {
  await rejects(connect({ apiKey: 'sk-stoa-wrong' }).models.list(), OpenAI.AuthenticationError, { code: 'invalid_api_key' });
  await rejects(connect({ apiKey: setup.viewer_key }).chat.completions.create({ model: CHAT, messages: QUESTION }), OpenAI.PermissionDeniedError);
  await rejects(say({ temperature: 9 }), OpenAI.BadRequestError, { param: 'temperature' });
  await rejects(say({ model: 'gpt-99' }), OpenAI.NotFoundError, { code: 'model_not_found' });
  await rejects(say({ messages: [{ role: 'user', content: 'word '.repeat(20000) }] }), OpenAI.BadRequestError, { code: 'context_length_exceeded' });
});

test('an aborted stream ends, and the server goes on', async () => {
  const stream = await say({ stream: true, max_tokens: 2000, messages: [{ role: 'user', content: 'Write a very long story.' }] });
  let count = 0;
  for await (const _ of stream) if (++count === 3) stream.controller.abort();
  assert.ok(count < 2000);
  assert.match((await say()).choices[0].message.content, /Paris/);
});

test('files: upload, list, content, delete', async () => {
  const file = await client.files.create({ file: await toFile(Buffer.from('Grüße'), 'grüße.txt'), purpose: 'user_data' });
  assert.equal(await (await client.files.content(file.id)).text(), 'Grüße');
  const ids = [];
  for await (const item of client.files.list({ limit: 1 })) ids.push(item.id);
  assert.ok(ids.includes(file.id) && ids.includes(store.file));
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});

test('vector store search with a filter', async () => {
  const found = (await client.vectorStores.search(store.id, { query: 'how often are keys rotated?' })).data;
  assert.equal(found[0].file_id, store.file);
  const none = (await client.vectorStores.search(store.id, { query: 'keys', filters: { type: 'eq', key: 'kind', value: 'other' } })).data;
  assert.deepEqual(none, []);
});

test('responses: plain, stored, continued', async () => {
  const first = await client.responses.create({ model: CHAT, input: 'What is the capital of Italy?', temperature: 0, max_output_tokens: 24 });
  assert.ok(['completed', 'incomplete'].includes(first.status) && first.output_text.length > 0);
  const second = await client.responses.create({ model: CHAT, input: 'And of France?', previous_response_id: first.id, temperature: 0, max_output_tokens: 24 });
  const told = await client.responses.create({ model: CHAT, temperature: 0, max_output_tokens: 24, input: [
    { role: 'user', content: 'What is the capital of Italy?' }, { role: 'assistant', content: first.output_text }, { role: 'user', content: 'And of France?' }] });
  assert.equal(second.output_text, told.output_text);
  assert.equal(second.usage.input_tokens, told.usage.input_tokens);
  assert.equal((await client.responses.retrieve(second.id)).output_text, second.output_text);
  const items = [];
  for await (const item of client.responses.inputItems.list(second.id)) items.push(item.content[0].text);
  assert.deepEqual(items, ['And of France?']);
  await client.responses.delete(first.id);
  await rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test('responses: stream with file search and citations', async () => {
  const types = [], numbers = [];
  let final = null, text = '';
  const stream = await client.responses.create({
    model: CHAT, input: 'How often is an access key rotated?', stream: true, temperature: 0,
    tools: [{ type: 'file_search', vector_store_ids: [store.id] }],
  });
  for await (const event of stream) {
    types.push(event.type);
    numbers.push(event.sequence_number);
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.type === 'response.completed') final = event.response;
  }
  assert.deepEqual(numbers, numbers.map((_, i) => i));
  assert.deepEqual(types.slice(0, 2), ['response.created', 'response.in_progress']);
  assert.ok(types.indexOf('response.file_search_call.completed') < types.indexOf('response.output_text.delta'));
  assert.equal(types.at(-1), 'response.completed');
  const content = final.output.at(-1).content[0];
  assert.equal(content.text, text);
  assert.match(text, /ninety days/);
  assert.ok(content.annotations.length > 0 && content.annotations.every((note) => note.type === 'file_citation' && note.file_id === store.file));
});

test('eight streams at once', async () => {
  const texts = await Promise.all(Array.from({ length: 8 }, async () => {
    let text = '';
    for await (const chunk of await say({ stream: true })) text += chunk.choices[0].delta.content ?? '';
    return text;
  }));
  assert.ok(texts.every((text) => text.includes('Paris')));
});

test('a batch answers, and tells what failed', async () => {
  const line = (custom_id, model) => JSON.stringify({ custom_id, method: 'POST', url: '/v1/chat/completions', body: { model, temperature: 0, max_tokens: 24, messages: QUESTION } });
  const file = await client.files.create({ file: await toFile(Buffer.from([line('good', CHAT), line('bad', 'gpt-99')].join('\n')), 'requests.jsonl'), purpose: 'batch' });
  const created = await client.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const batch = await until(() => client.batches.retrieve(created.id), ({ status }) => ['completed', 'failed'].includes(status));
  assert.deepEqual(batch.request_counts, { total: 2, completed: 1, failed: 1 });
  const read = async (id) => JSON.parse(await (await client.files.content(id)).text());
  assert.match((await read(batch.output_file_id)).response.body.choices[0].message.content, /Paris/);
  assert.equal((await read(batch.error_file_id)).response.status_code, 404);
  await rejects(connect({ apiKey: setup.other_key }).batches.retrieve(batch.id), OpenAI.NotFoundError);
});

test('a response in the background is polled, followed and taken up again', async () => {
  const first = await client.responses.create({ model: CHAT, input: 'Say hello.', max_output_tokens: 24, temperature: 0, background: true });
  assert.equal(first.status, 'queued');
  const events = [];
  for await (const event of await client.responses.retrieve(first.id, { stream: true })) events.push(event);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  const rest = [];
  for await (const event of await client.responses.retrieve(first.id, { stream: true, starting_after: 2 })) rest.push(event.sequence_number);
  assert.deepEqual(rest, [...events.keys()].slice(3));
  const done = await client.responses.retrieve(first.id);
  assert.ok(['completed', 'incomplete'].includes(done.status) && done.output_text);
});

test('a file comes in parts', async () => {
  const upload = await client.uploads.create({ bytes: 6, filename: 'a.txt', mime_type: 'text/plain', purpose: 'user_data' });
  const parts = [];
  for (const text of ['abc', 'def']) parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from(text), 'part') })).id);
  const done = await client.uploads.complete(upload.id, { part_ids: parts });
  assert.equal(done.status, 'completed');
  assert.equal(await (await client.files.content(done.file.id)).text(), 'abcdef');
});
