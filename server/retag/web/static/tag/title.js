e=>{e.e.push(e=>{e.ad.title=document.title})}
