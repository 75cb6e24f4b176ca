// A real OpenID Connect provider on the loopback, for test_identity.py. Arguments: port, file that keeps its keys over a restart.
// Beside what a provider does, it can rotate its keys (POST /test/rotate) and sign what it is asked to (POST /test/sign).
import { createServer } from 'node:http';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { Provider } from 'oidc-provider';

const [port, keyFile] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = {
  ann: { preferred_username: 'ann', email: 'ann@example.org', email_verified: true, groups: ['Platform Team', 'hr'] },
  bob: { preferred_username: 'bob', groups: [] },
};

async function newKeys(generation) {
  const keys = [];
  for (const [alg, options] of [['RS256', { modulusLength: 2048 }], ['ES256', {}], ['EdDSA', { crv: 'Ed25519' }]]) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
    keys.push({ ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${generation}` });
  }
  return keys;
}

let generation = 1;
let keys = existsSync(keyFile) ? JSON.parse(readFileSync(keyFile)) : await newKeys(generation);

function makeProvider() {
  writeFileSync(keyFile, JSON.stringify(keys));
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      { client_id: 'stoa-cli', application_type: 'native', token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'] },
      { client_id: 'ci-runner', client_secret: 'a secret of ci: +%&', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
    ],
    cookies: { keys: ['only for tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true, methods: ['S256'] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.client?.clientId === 'ci-runner' ? 'https://stoa.example.org' : undefined),
        getResourceServerInfo: () => ({ scope: '', audience: 'https://stoa.example.org', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
        useGrantedResource: () => true,
      },
    },
    ttl: { IdToken: 55, AccessToken: 600, ClientCredentials: 600 },  // the first so that the command line has to renew it at once
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
}

const body = (request) => new Promise((resolve) => {
  let text = '';
  request.on('data', (piece) => { text += piece; }).on('end', () => resolve(text));
});

// {claims, alg?, header?, foreign?: a key of nobody's, hmac?: with the public key as the shared secret, none?}
async function sign({ claims, alg = 'RS256', header = {}, foreign, hmac, none }) {
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: issuer, aud: 'stoa-cli', sub: 'ann', ...people.ann, iat: now, exp: now + 300, ...claims };
  const jwk = keys.find((key) => key.alg === alg);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  if (none) return `${encode({ alg: 'none', ...header })}.${encode(all)}.`;
  if (hmac) {
    const text = `${encode({ alg: 'HS256', kid: jwk.kid, ...header })}.${encode(all)}`;
    return `${text}.${createHmac('sha256', Buffer.from(jwk.n, 'base64url')).update(text).digest('base64url')}`;
  }
  const key = foreign ? (await generateKeyPair(alg)).privateKey : await importJWK(jwk, alg);
  return new SignJWT(all).setProtectedHeader({ alg, kid: jwk.kid, ...header }).sign(key);
}

let provider = makeProvider();
let handle = provider.callback();
createServer(async (request, response) => {
  if (request.url === '/test/rotate') {
    keys = await newKeys(++generation + Date.now());
    provider = makeProvider();
    handle = provider.callback();
    response.end('rotated');
  } else if (request.url === '/test/sign') {
    response.end(await sign(JSON.parse(await body(request))));
  } else {
    handle(request, response);
  }
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
