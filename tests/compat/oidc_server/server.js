// A certified OpenID Connect provider (panva's oidc-provider) on localhost: node server.js ISSUER PORT
import Provider from 'oidc-provider';

const [issuer, port] = process.argv.slice(2);
const client = {
  client_id: 'builds',
  client_secret: 'a secret of the tests',
  redirect_uris: ['https://client.example.com/back'],
  grant_types: ['authorization_code'],
  response_types: ['code'],
};
const provider = new Provider(issuer, {
  clients: [client],
  pkce: { required: () => false },
  features: { devInteractions: { enabled: true } },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
