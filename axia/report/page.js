const cards=[...document.querySelectorAll('.card')],q=document.getElementById('q'),s=document.getElementById('s'),n=document.getElementById('n'),more=document.getElementById('more'),page=24;
let limit=page;
function show(){const text=q.value.toLowerCase();let count=0;for(const card of cards){
const hit=card.textContent.toLowerCase().includes(text)&&(!s.value||card.querySelector('li.s'+s.value));count+=hit?1:0;card.hidden=!hit||count>limit}
const shown=Math.min(count,limit);n.textContent=(shown<count?shown+' shown of '+count:count)+' of '+cards.length+' pictures';more.hidden=shown===count}
function again(){limit=page;show()}
q.addEventListener('input',again);s.addEventListener('change',again);more.addEventListener('click',()=>{limit+=4*page;show()});show();
