/** The server's API, called as one person. */
export class Session {
  constructor(email, password) {
    this.credentials = { email, password };
    this.access = "";
  }

  /** Return a token that is good for another minute. Calls that come together make one request. */
  async token() {
    if (!(expiry(this.access) - Date.now() > 60_000)) {
      this.asking ??= this.login().finally(() => (this.asking = null));
      await this.asking;
    }
    return this.access;
  }

  async login() {
    this.access = (await send("POST", "/api/auth/login", this.credentials)).token;
  }

  /** Call the API. Throws an Error with the server's own message. */
  async call(method, path, body) {
    return send(method, path, body, { Authorization: `Bearer ${await this.token()}` });
  }
}

async function send(method, path, body, headers) {
  headers = { "Content-Type": "application/json", ...headers };
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({ message: response.statusText }));
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

/** Return when a token expires, in milliseconds since the epoch; NaN if there is none. */
function expiry(token) {
  return token ? JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000 : NaN;
}
