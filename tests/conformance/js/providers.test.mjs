// The official SDKs of OpenAI and Anthropic for JavaScript against the real binary, over providers of every family: what an application does with a model does not
// change with where the model is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { ANSWER_TOKENS, FAMILIES, PROMPT_TOKENS, rejects, TEXT, until, withServer } from './server.mjs';

const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const Answer = z.object({ ok: z.boolean() });
const USED = [PROMPT_TOKENS, ANSWER_TOKENS];
const TAKE_PROMPTS = ['openai', 'azure', 'sagemaker']; // the others know turns only
let openai, claude;

withServer((setup) => {
  openai = new OpenAI({ apiKey: setup.key, baseURL: setup.url + '/v1', maxRetries: 0 });
  claude = new Anthropic({ apiKey: setup.key, baseURL: setup.url, maxRetries: 0 });
}, 'providers');

const turns = (content) => [{ role: 'system', content: 'Be brief.' }, { role: 'user', content }];
const chat = (family, content, more = {}) => ({ model: `${family}/big`, messages: turns(content), max_tokens: 64, ...more });
const respond = (family, input, more = {}) => ({ model: `${family}/big`, instructions: 'Be brief.', input, max_output_tokens: 64, ...more });
const message = (family, content, more = {}) => ({ model: `${family}/big`, system: 'Be brief.', max_tokens: 64, messages: [{ role: 'user', content }], ...more });

for (const family of FAMILIES) {
  test(`OpenAI chat over ${family}`, async () => {
    const { data, response } = await openai.chat.completions.create(chat(family, 'What is the capital?')).withResponse();
    assert.deepEqual([data.choices[0].message.content, data.choices[0].finish_reason, data.model], [TEXT, 'stop', `${family}/big`]);
    assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens], USED);
    assert.equal(response.headers.get('x-request-id'), data._request_id);

    let text = '', pieces = 0, usage;
    for await (const chunk of await openai.chat.completions.create(chat(family, 'What is the capital?', { stream: true, stream_options: { include_usage: true } }))) {
      if (chunk.choices[0]?.delta?.content) (text += chunk.choices[0].delta.content), pieces++;
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual([text, pieces > 1, usage.prompt_tokens, usage.completion_tokens], [TEXT, true, ...USED]);

    const parsed = await openai.chat.completions.parse(chat(family, 'Is it?', { response_format: zodResponseFormat(Answer, 'answer') }));
    assert.deepEqual(parsed.choices[0].message.parsed, { ok: true });

    const ran = [];
    const weather = { type: 'function', function: { name: 'weather', description: 'of a city', parameters: PARAMETERS, parse: JSON.parse, function: ({ city }) => (ran.push(city), `sunny in ${city}`) } };
    for (const stream of [false, true]) {
      const runner = openai.chat.completions.runTools(chat(family, 'How is the weather?', { stream, tools: [weather] }), { maxChatCompletions: 1 });
      await runner.done();
      const kinds = runner.messages.map(({ role }) => role);
      assert.deepEqual(kinds, ['system', 'user', 'assistant', 'tool'], `stream ${stream}`);
      const after = await openai.chat.completions.create({ model: `${family}/big`, messages: runner.messages });
      assert.equal(after.choices[0].message.content, TEXT);
    }
    assert.deepEqual(ran, ['Bern', 'Bern']);
  });

  test(`OpenAI responses over ${family}`, async () => {
    const first = await openai.responses.create(respond(family, 'What is the capital?'));
    assert.deepEqual([first.status, first.output_text, first.usage.input_tokens, first.usage.output_tokens], ['completed', TEXT, ...USED]);
    assert.equal((await openai.responses.retrieve(first.id)).output_text, TEXT);
    assert.equal((await openai.responses.create(respond(family, 'And again?', { previous_response_id: first.id }))).output_text, TEXT);

    const stream = openai.responses.stream(respond(family, 'What is the capital?'));
    const types = [];
    for await (const event of stream) types.push(event.type);
    assert.deepEqual([types[0], types.at(-1), types.filter((type) => type === 'response.output_text.delta').length > 1], ['response.created', 'response.completed', true]);
    assert.equal((await stream.finalResponse()).output_text, TEXT);

    const parsed = await openai.responses.parse(respond(family, 'Is it?', { text: { format: zodTextFormat(Answer, 'answer') } }));
    assert.deepEqual(parsed.output_parsed, { ok: true });

    const tools = [{ type: 'function', name: 'weather', description: 'of a city', parameters: PARAMETERS, strict: true }];
    const called = await openai.responses.create(respond(family, 'How is the weather?', { tools }));
    const call = called.output.find(({ type }) => type === 'function_call');
    assert.deepEqual([call.name, JSON.parse(call.arguments)], ['weather', { city: 'Bern' }]);
    const told = await openai.responses.create(respond(family, [{ type: 'function_call_output', call_id: call.call_id, output: 'sunny' }], { previous_response_id: called.id }));
    assert.equal(told.output_text, TEXT);

    const background = await openai.responses.create(respond(family, 'What is the capital?', { background: true }));
    const done = await until(() => openai.responses.retrieve(background.id), ({ status }) => !['queued', 'in_progress'].includes(status));
    assert.deepEqual([done.status, done.output_text], ['completed', TEXT]);
  });

  test(`Anthropic messages over ${family}`, async () => {
    const answer = await claude.messages.create(message(family, 'What is the capital?'));
    assert.deepEqual([answer.content[0].text, answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens], [TEXT, 'end_turn', ...USED]);

    let text = '', pieces = 0;
    const final = await claude.messages.stream(message(family, 'What is the capital?')).on('text', (piece) => { (text += piece), pieces++; }).finalMessage();
    assert.deepEqual([text, pieces > 1, final.usage.input_tokens, final.usage.output_tokens], [TEXT, true, ...USED]);

    const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false };
    const kept = await claude.messages.create(message(family, 'Is it?', { output_config: { format: { type: 'json_schema', schema } } }));
    assert.deepEqual(JSON.parse(kept.content[0].text), { ok: true });

    const tools = [{ name: 'weather', description: 'of a city', input_schema: PARAMETERS }];
    for (const ask of [(body) => claude.messages.create(body), (body) => claude.messages.stream(body).finalMessage()]) {
      const called = await ask(message(family, 'How is the weather?', { tools }));
      const use = called.content.find(({ type }) => type === 'tool_use');
      assert.deepEqual([called.stop_reason, use.name, use.input], ['tool_use', 'weather', { city: 'Bern' }]);
      const messages = [{ role: 'user', content: 'How is the weather?' }, { role: 'assistant', content: called.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] }];
      assert.equal((await claude.messages.create({ model: `${family}/big`, max_tokens: 64, messages })).content[0].text, TEXT);
    }
  });

  test(`OpenAI completions over ${family}`, async () => {
    const prompt = { model: `${family}/big`, prompt: 'The capital', max_tokens: 64 };
    if (!TAKE_PROMPTS.includes(family)) return rejects(openai.completions.create(prompt), OpenAI.BadRequestError, { param: 'prompt' });
    assert.equal((await openai.completions.create(prompt)).choices[0].text, TEXT);
    let text = '';
    for await (const chunk of await openai.completions.create({ ...prompt, stream: true })) text += chunk.choices[0]?.text ?? '';
    assert.equal(text, TEXT);
  });

  test(`errors over ${family}`, async () => {
    const failures = [
      [(more) => openai.chat.completions.create(chat(family, 'FAIL 429', more)), OpenAI.RateLimitError, 429],
      [(more) => openai.responses.create(respond(family, 'FAIL 500', more)), OpenAI.InternalServerError, 503],
      [(more) => claude.messages.create(message(family, 'FAIL 429', more)), Anthropic.RateLimitError, 429],
      [(more) => claude.messages.create(message(family, 'FAIL 500', more)), Anthropic.InternalServerError, 503],
    ];
    for (const [ask, kind, status] of failures) {
      for (const more of [{}, { stream: true }]) {
        await rejects(ask(more), kind, { status });
        // A target that does nothing but fail would be left alone for a moment.
        assert.equal((await openai.chat.completions.create(chat(family, 'What is the capital?'))).choices[0].message.content, TEXT);
      }
    }
    await rejects(openai.chat.completions.create({ ...chat(family, 'Hello'), model: `${family}/small` }), OpenAI.NotFoundError, { code: 'model_not_found' });
  });
}

test('batches of both dialects over every family', async () => {
  const lines = FAMILIES.map((family) => JSON.stringify({ custom_id: family, method: 'POST', url: '/v1/chat/completions', body: chat(family, 'What is the capital?') }));
  const file = await openai.files.create({ file: await toFile(Buffer.from(lines.join('\n')), 'requests.jsonl'), purpose: 'batch' });
  const created = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const batch = await until(() => openai.batches.retrieve(created.id), ({ status }) => ['completed', 'failed'].includes(status));
  const output = (await (await openai.files.content(batch.output_file_id)).text()).trim().split('\n').map(JSON.parse);
  assert.deepEqual(output.map(({ custom_id, response }) => [custom_id, response.body.choices[0].message.content]).sort(), FAMILIES.map((family) => [family, TEXT]).sort());

  const asked = await claude.messages.batches.create({ requests: FAMILIES.map((family) => ({ custom_id: family, params: message(family, 'What is the capital?') })) });
  await until(() => claude.messages.batches.retrieve(asked.id), ({ processing_status }) => processing_status === 'ended');
  const results = [];
  for await (const { custom_id, result } of await claude.messages.batches.results(asked.id)) results.push([custom_id, result.message.content[0].text]);
  assert.deepEqual(results.sort(), FAMILIES.map((family) => [family, TEXT]).sort());
});
