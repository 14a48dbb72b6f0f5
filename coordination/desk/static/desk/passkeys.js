// Passkeys: lets the browser make or use one, and sends what it says with the form. The rules are the server's.

const able = typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;

async function answered(form) {
  if (form.dataset.passkey === "create") {
    const { publicKey } = JSON.parse(form.dataset.options);
    const alone = form.elements.passwordless.checked;
    Object.assign(publicKey.authenticatorSelection, {
      residentKey: alone ? "required" : "discouraged",
      requireResidentKey: alone,
      userVerification: alone ? "required" : "preferred",
    });
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
  }
  let options = form.dataset.options && JSON.parse(form.dataset.options);
  if (form.dataset.passkey === "login") {
    const reply = await fetch(form.action, { headers: { Accept: "application/json" } });
    options = (await reply.json()).request_options;
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey) });
}

if (able) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    const fault = form.querySelector("[role=alert][hidden]");
    form.addEventListener("submit", async (event) => {
      if (form.elements.credential.value) return;
      event.preventDefault();
      fault.hidden = true;
      try {
        form.elements.credential.value = JSON.stringify((await answered(form)).toJSON());
        form.requestSubmit();
      } catch {
        // Whoever closed the browser's window reads what to do; nothing was sent.
        fault.textContent = form.dataset.fault;
        fault.hidden = false;
      }
    });
  }
  for (const words of document.querySelectorAll("[data-passkey-absent]")) words.hidden = true;
}
