// A browser does not fetch a script again after a failure, for example because the network changed. So this loads the page again.
addEventListener('error', event => {
  if (event.target instanceof HTMLScriptElement) setTimeout(() => location.reload(), 1000);
}, true);
