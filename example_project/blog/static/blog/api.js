/** The server's API, called as one logged-in person. */
export class Session {
  constructor(email, password) {
    this.credentials = { email, password };
    this.token = "";
    this.user = null;
  }

  async login() {
    const answer = await this.send("POST", "/api/auth/login", this.credentials);
    this.token = answer.token;
    this.user = answer.user;
  }

  /** Call the API. A token that has expired is renewed once. Throws an Error with the server's own message. */
  async call(method, path, body) {
    try {
      return await this.send(method, path, body);
    } catch (error) {
      if (error.code !== 401) throw error;
      await this.login();
      return this.send(method, path, body);
    }
  }

  async send(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => ({ message: response.statusText }));
    if (!response.ok) throw Object.assign(new Error(answer.message), { code: response.status });
    return answer;
  }

  /** Open the stream. EventSource cannot set headers, so the token goes into the address. */
  stream(...tables) {
    return new EventSource(`/api/realtime?${new URLSearchParams({ tables: tables.join(","), token: this.token })}`);
  }
}
