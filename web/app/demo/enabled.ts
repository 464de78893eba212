/** Whether this server has the calls below /demo; its page says so. */
export const demoEnabled = document.querySelector('base')?.dataset.demo === 'true'
